"""Clocks that a snippet cannot freeze or step: they are bound before it runs."""

import os
import time

# Python 2.7 has no monotonic clock but the fifth number of os.times().
monotonic = getattr(time, "monotonic", None) or (lambda times=os.times: times()[4])
processor_times = os.times
time_sleep = time.sleep


def cpu_seconds():
    """Return the processor time of this process so far, all its threads together."""
    return sum(processor_times()[:2])

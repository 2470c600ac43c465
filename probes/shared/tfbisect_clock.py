"""What the steps of a probe take, for those who ask what a probe adds to the calls that it is about."""

import os
import time


def cpu_seconds():
    """Return the processor time of this process so far, all its threads together."""
    return sum(os.times()[:2])


class Clock(object):
    """Sums up seconds by step: `with clock.step("controls"): ...`."""

    def __init__(self):
        self.seconds, self.cpu_seconds = {}, {}

    def step(self, name):
        return Step(self, name)

    def add(self, name, seconds, processor):
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + processor


class Step(object):
    def __init__(self, clock, name):
        self._clock, self._name = clock, name

    def __enter__(self):
        self._began = time.time(), cpu_seconds()

    def __exit__(self, *exc_info):
        self._clock.add(self._name, time.time() - self._began[0], cpu_seconds() - self._began[1])

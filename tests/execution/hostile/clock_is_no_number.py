#: tries = "every clock says nan, or a text"
#: expects = ["measured x == 1"]
import os
import time

for name in ("time", "monotonic", "perf_counter", "process_time", "clock"):
    if hasattr(time, name):
        setattr(time, name, lambda: float("nan"))
os.times = lambda: ("never",) * 5
x = 1

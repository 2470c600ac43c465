#: tries = "every clock of Python goes back thirty years"
#: expects = ["measured x == 1"]
#: ci = true
import time

for name in ("time", "monotonic", "perf_counter", "process_time", "clock"):
    if hasattr(time, name):
        setattr(time, name, lambda: -1e9)
x = 1

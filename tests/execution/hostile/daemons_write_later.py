#: tries = "a child that writes to the channel after the result"
#: expects = ["measured x == 1", "untestable something other than the probe wrote"]
import os
import time

if os.fork() == 0:
    os.setsid()
    for _ in range(100):
        time.sleep(0.1)
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b"owned\n")
            except OSError:
                pass
    os._exit(0)
x = 1

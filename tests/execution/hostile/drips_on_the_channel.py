#: tries = "one byte a moment on the channel, to keep the run alive beyond its limit"
#: expects = ["timed-out", "untestable something other than the probe wrote"]
#: seconds = 3
import os
import time

while True:
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b" ")
        except OSError:
            pass
    time.sleep(0.05)

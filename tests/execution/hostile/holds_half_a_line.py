#: tries = "half a result on the channel, and then nothing"
#: expects = ["timed-out", "untestable something other than the probe wrote"]
#: seconds = 3
#: ci = true
import os
import time

for descriptor in range(3, 64):
    try:
        os.write(descriptor, b'{"event": "result", ')
    except OSError:
        pass
time.sleep(600)

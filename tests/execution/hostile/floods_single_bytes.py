#: tries = "half a million writes of one byte"
#: expects = ["untestable something other than the probe wrote", "output-flood"]
#: ci = true
#: within = 40
import os

words = b"\n"
for descriptor in range(3, 64):
    try:
        for _ in range(500000):
            os.write(descriptor, words)
    except OSError:
        pass
x = 1

#: tries = "the result channel and standard error by turns"
#: expects = ["untestable something other than the probe wrote", "output-flood"]
#: within = 40
import os

for descriptor in range(3, 64):
    try:
        for _ in range(20000):
            os.write(descriptor, b"\n" * 512)
            os.write(2, b"x" * 512)
    except OSError:
        pass
x = 1

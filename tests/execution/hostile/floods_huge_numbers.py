#: tries = "lines that are one number of 60,000 digits"
#: expects = ["untestable something other than the probe wrote", "output-flood"]
#: within = 40
import os

words = b"9" * 60000 + b"\n"
for descriptor in range(3, 64):
    try:
        for _ in range(1000):
            os.write(descriptor, words)
    except OSError:
        pass
x = 1

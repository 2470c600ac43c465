#: tries = "lines nested 10,000 deep"
#: expects = ["untestable something other than the probe wrote", "output-flood"]
#: within = 40
import os

words = b"[" * 10000 + b"]" * 10000 + b"\n"
for descriptor in range(3, 64):
    try:
        for _ in range(3000):
            os.write(descriptor, words)
    except OSError:
        pass
x = 1

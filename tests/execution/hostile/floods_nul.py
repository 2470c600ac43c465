#: tries = "60 MiB of NUL on the result channel"
#: expects = ["untestable something other than the probe wrote", "output-flood"]
#: within = 40
import os

words = b"\0" * (1 << 16)
for descriptor in range(3, 64):
    try:
        for _ in range(960):
            os.write(descriptor, words)
    except OSError:
        pass
x = 1

#: tries = "a message without end on the channel"
#: expects = ["untestable something other than the probe wrote"]
import os

for descriptor in range(3, 64):
    try:
        for _ in range(24):
            os.write(descriptor, b'"' + b"x" * (1 << 16))
    except OSError:
        pass
x = 1

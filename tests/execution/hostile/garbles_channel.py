#: tries = "garbage on the channel"
#: expects = ["untestable something other than the probe wrote"]
import os

for descriptor in range(3, 64):
    try:
        os.write(descriptor, b"\xff\x00 no event \n{]\n")
    except OSError:
        pass
x = 1

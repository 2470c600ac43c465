#: tries = "60 MiB of lines that are a number on the result channel"
#: expects = ["untestable something other than the probe wrote"]
#: within = 40
import os

for descriptor in range(3, 64):
    try:
        for _ in range(60):
            os.write(descriptor, LINE * ((1 << 20) // len(LINE)))
    except OSError:
        pass
x = 1

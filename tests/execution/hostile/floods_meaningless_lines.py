#: tries = "60 MiB of lines that are JSON and mean nothing"
#: expects = ["untestable something other than the probe wrote", "output-flood"]
#: within = 40
#: ci = true
import os

words = (b"[]\n" * (1 << 16))[:1 << 16]
for descriptor in range(3, 64):
    try:
        for _ in range(960):
            os.write(descriptor, words)
    except OSError:
        pass
x = 1

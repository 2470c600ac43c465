#: tries = "every descriptor that it may have"
#: expects = ["measured x < 1100"]
import os

x = 0
kept = []
try:
    while x < 5000:
        kept.append(os.dup(0))
        x += 1
except OSError:
    pass
for descriptor in kept:
    os.close(descriptor)

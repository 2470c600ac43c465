#: tries = "a start of the protocol, again and again"
#: expects = ["untestable something other than the probe wrote", "output-flood"]
#: within = 40
import os

words = b'{"event": "ready"}\n' * 1000
for descriptor in range(3, 64):
    try:
        for _ in range(3000):
            os.write(descriptor, words)
    except OSError:
        pass
x = 1

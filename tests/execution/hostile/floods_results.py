#: tries = "a hundred thousand results"
#: expects = ["untestable something other than the probe wrote", "output-flood"]
#: within = 40
import os

words = b'{"event": "result", "result": {"kind": "measured", "measurements": {"x": 2}}}\n' * 100
for descriptor in range(3, 64):
    try:
        for _ in range(1000):
            os.write(descriptor, words)
    except OSError:
        pass
x = 1

#: tries = "a result of its own beside the probe's"
#: expects = ["untestable something other than the probe wrote"]
#: ci = true
import json
import os

forged = {"event": "result", "result": {"kind": "measured", "measurements": {"x": "forged"}}}
for descriptor in range(3, 64):
    try:
        os.write(descriptor, json.dumps(forged).encode() + b"\n")
    except OSError:
        pass
x = 1

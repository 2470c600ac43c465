import json
import os

forged = {"event": "result", "result": {"kind": "measured", "measurements": {"x": "forged"}}}
for descriptor in range(3, 64):
    try:
        os.write(descriptor, json.dumps(forged).encode() + b"\n")
    except OSError:
        pass
x = 1

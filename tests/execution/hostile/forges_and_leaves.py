#: tries = "a result of its own, and leaves before the probe answers: a lie about itself alone"
#: expects = ["measured x == 'forged'"]
#: ci = true
import json
import os

forged = {"event": "result", "result": {"kind": "measured", "measurements": {"x": "forged"}}}
for descriptor in range(3, 64):
    try:
        os.write(descriptor, json.dumps(forged).encode("ascii") + b"\n")
    except OSError:
        pass
os._exit(0)

#: tries = "the harness's own channel, found by the garbage collector, sends first"
#: expects = ["untestable something other than the probe wrote"]
#: ci = true
import gc

for found in gc.get_objects():
    if type(found).__name__ == "Channel":
        found.send({"event": "result", "result": {"kind": "measured", "measurements": {"x": "forged"}}})
x = 1

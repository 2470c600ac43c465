#: tries = "the harness's functions replaced through the frames above"
#: expects = ["measured", "untestable something other than the probe wrote", "exited 70", "untestable"]
import sys

frame = sys._getframe()
while frame is not None:
    names = frame.f_globals
    for name in ("plain", "encoded", "answer", "described", "versions"):
        if name in names:
            names[name] = lambda *given, **named: {"x": {"kind": "owned"}}
    frame = frame.f_back
x = 1

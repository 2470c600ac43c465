#: tries = "sys.settrace and setprofile raise inside of the harness"
#: expects = ["measured x == 1", "exited 70", "untestable", "raised RuntimeError"]
import sys
import threading


def traced(frame, event, given):
    if frame.f_code.co_filename.startswith("harness"):
        raise RuntimeError("owned")
    return traced


sys.settrace(traced)
sys.setprofile(traced)
threading.settrace(traced)
frame = sys._getframe()
while frame is not None:
    frame.f_trace = traced
    frame = frame.f_back
x = 1

#: tries = "finalisers and collector callbacks that raise, print and forge"
#: expects = ["measured x == 1"]
import gc
import sys


class Last(object):
    def __del__(self):
        sys.stderr.write("finaliser\n")
        raise SystemExit(9)


def called(*given):
    raise SystemExit(9)


kept = [Last() for _ in range(100)]
cycle = Last()
cycle.own = cycle
if hasattr(gc, "callbacks"):
    gc.callbacks.append(called)
gc.set_threshold(1)
x = 1

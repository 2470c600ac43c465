#: tries = "the recursion limit lifted, and then no end"
#: expects = ["signalled 11", "raised RecursionError", "out-of-memory", "untestable", "timed-out", "exited 1"]
#: within = 60
import sys

sys.setrecursionlimit(10 ** 9)


def call(depth):
    return call(depth + 1) + 1


call(0)

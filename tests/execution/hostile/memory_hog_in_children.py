#: tries = "memory by eight children at once"
#: expects = ["out-of-memory", "measured x > 0"]
import os
import time

children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        kept = bytearray(b"x") * (96 << 20)
        time.sleep(2)
        os._exit(0)
    children.append(child)
x = sum(os.waitpid(child, 0)[1] != 0 for child in children)

#: tries = "daemons that hold every stream open"
#: expects = ["measured x == 1"]
#: ci = true
import os
import time

for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
        os._exit(0)
x = 1

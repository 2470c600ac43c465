#: tries = "daemons that leave their session and their descriptors"
#: expects = ["measured x == 1"]
#: ci = true
import os

for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 256)
            os.execvp("sleep", ["sleep", "DURATION"])
        os._exit(0)
x = 1

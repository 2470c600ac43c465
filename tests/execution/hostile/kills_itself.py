#: tries = "SIGKILL to itself"
#: expects = ["signalled 9"]
import os

os.kill(os.getpid(), 9)

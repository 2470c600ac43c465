#: tries = "SIGKILL to every process in reach"
#: expects = ["signalled 9", "lost", "exited", "measured", "raised ProcessLookupError"]
#: ci = true
import os

os.kill(-1, 9)
x = 1

#: tries = "SIGSTOP to itself"
#: expects = ["timed-out"]
#: seconds = 3
import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)

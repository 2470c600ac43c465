#: tries = "daemons in sessions of their own that ignore every signal"
#: expects = ["measured x == 1"]
import os
import signal
import time

for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError, RuntimeError):
                pass
        os.closerange(0, 256)
        time.sleep(600)
        os._exit(0)
x = 1

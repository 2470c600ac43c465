#: tries = "every signal ignored, and no end"
#: expects = ["timed-out"]
#: seconds = 2
import signal
import time

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError, RuntimeError):
        pass
while True:
    time.sleep(1)

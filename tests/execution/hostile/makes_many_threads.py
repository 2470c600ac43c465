#: tries = "as many threads as it gets"
#: expects = ["measured x <= pids"]
#: needs = "no limit of processes"
#: ci = true
import threading

wait = threading.Event()
x = 0
try:
    while x < 5000:
        thread = threading.Thread(target=wait.wait)
        thread.daemon = True
        thread.start()
        x += 1
except (RuntimeError, MemoryError, threading.ThreadError):
    pass
wait.set()

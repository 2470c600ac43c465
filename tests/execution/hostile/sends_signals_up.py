#: tries = "every signal to its parents and to the first process"
#: expects = ["measured x == 1", "signalled", "lost", "timed-out", "exited"]
#: seconds = 5
import os

for process in (1, os.getppid()):
    for number in (1, 2, 3, 10, 12, 15, 18, 20):
        if process != os.getpid():
            try:
                os.kill(process, number)
            except OSError:
                pass
x = 1

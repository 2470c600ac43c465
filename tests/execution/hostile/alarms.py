#: tries = "a timer's signal ends the process"
#: expects = ["signalled 14"]
import signal
import time

signal.signal(signal.SIGALRM, signal.SIG_DFL)
signal.alarm(1)
time.sleep(600)

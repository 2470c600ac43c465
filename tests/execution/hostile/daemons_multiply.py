#: tries = "daemons that start another before they end"
#: expects = ["measured x == 1"]
import os
import time

if os.fork() == 0:
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
        time.sleep(0.01)
x = 1

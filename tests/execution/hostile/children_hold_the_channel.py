import os
import time

if os.fork() == 0:
    time.sleep(600)
x = 1

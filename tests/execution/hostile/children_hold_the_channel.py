#: tries = "a child that holds the channel open"
#: expects = ["measured x == 1"]
import os
import time

if os.fork() == 0:
    time.sleep(600)
x = 1

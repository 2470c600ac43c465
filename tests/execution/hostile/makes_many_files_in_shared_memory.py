#: tries = "as many empty files in /dev/shm as it gets"
#: expects = ["measured x <= 40000", "out-of-memory"]
#: needs = "no file system isolation"
#: within = 60
import os

x = 0
try:
    while x < 300000:
        os.close(os.open("/dev/shm/f%d" % x, os.O_CREAT))
        x += 1
except (OSError, IOError):
    pass

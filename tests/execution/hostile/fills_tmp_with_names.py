#: tries = "as many names in /tmp and /dev/shm as it gets"
#: expects = ["measured x <= 40000", "out-of-memory"]
#: seconds = 60
#: ci = true
import os

count = 0
try:
    for folder in ("/tmp", "/dev/shm"):
        while count < 3000000:
            os.mkdir("%s/%d" % (folder, count))
            count += 1
except OSError:
    pass
x = count

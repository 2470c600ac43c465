#: tries = "as much of /dev/shm as it gets"
#: expects = ["measured x <= 64", "out-of-memory", "signalled 7", "signalled 25"]
#: needs = "no file system isolation"
#: ci = true
x = 0
try:
    with open("/dev/shm/full", "wb") as file:
        while x < 1024:
            file.write(b"x" * (1 << 20))
            file.flush()
            x += 1
except (OSError, IOError):
    pass

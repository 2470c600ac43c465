#: tries = "as many full pipes as it gets"
#: expects = ["measured x <= memory", "out-of-memory"]
import fcntl
import os

x = 0
try:
    while True:
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            fcntl.fcntl(writer, 1031, 1 << 20)
        except (OSError, IOError):
            pass
        try:
            while True:
                x += os.write(writer, b"x" * 65536)
        except (OSError, IOError):
            pass
except (OSError, IOError):
    pass

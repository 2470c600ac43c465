#: tries = "as many keys as the kernel lets it have"
#: expects = ["measured x <= 10000"]
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
x = 0
while x < 5000 and libc.syscall(248, b"user", ("k%d" % x).encode("ascii"), b"x", 1, -4) > 0:
    x += 1

#: tries = "memory in files without a name (memfd), where no process maps it"
#: expects = ["out-of-memory", "measured x <= memory"]
#: needs = "no system call filter"
#: within = 60
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
x = 0
try:
    for number in range(200):
        descriptor = libc.syscall(319, b"m", 0)
        if descriptor < 0:
            break
        for _ in range(8):
            x += os.write(descriptor, b"x" * (1 << 20))
except (OSError, IOError):
    pass

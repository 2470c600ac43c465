#: tries = "a key that the service holds, in the kernel's keyrings"
#: expects = ["measured x == ''"]
#: needs = "no system call filter"
#: ci = true
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
x = ""
rings = [-1, -2, -3, -4, -5]
found = libc.syscall(249, b"user", b"tfbisect-canary", None, 0)
for number in ([found] if found > 0 else []) + rings:
    key = number
    if number < 0:
        key = libc.syscall(250, 10, number, b"user", b"tfbisect-canary", 0)
    room = ctypes.create_string_buffer(64)
    if key > 0 and libc.syscall(250, 11, key, room, 64) > 0:
        x = room.value.decode("ascii")

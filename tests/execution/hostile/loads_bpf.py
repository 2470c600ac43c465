#: tries = "a program in the kernel (bpf)"
#: expects = ["measured x == 'refused'"]
#: needs = "no system call filter"
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(512)
x = "refused" if libc.syscall(321, 0, room, 72) < 0 else "given"

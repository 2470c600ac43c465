#: tries = "an io_uring, past the filter of single calls"
#: expects = ["measured x == 'refused'"]
#: needs = "no system call filter"
#: ci = true
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(512)
x = "refused" if libc.syscall(425, 8, room) < 0 else "given"

#: tries = "userfaultfd, which makes kernel races easy to win"
#: expects = ["measured x == 'refused'"]
#: needs = "no system call filter"
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(512)
x = "refused" if libc.syscall(323, 0) < 0 else "given"

#: tries = "kexec_load"
#: expects = ["measured x == 'refused'"]
#: needs = "no system call filter"
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(512)
x = "refused" if libc.syscall(246, 0, 0, None, 0) < 0 else "given"

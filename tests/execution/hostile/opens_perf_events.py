#: tries = "counters of the whole machine (perf_event_open)"
#: expects = ["measured x == 'refused'"]
#: needs = "no system call filter"
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(512)
x = "refused" if libc.syscall(298, room, -1, 0, -1, 0) < 0 else "given"

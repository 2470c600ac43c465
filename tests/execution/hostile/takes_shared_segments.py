#: tries = "System V shared memory, queues and semaphores that outlive a process"
#: expects = ["measured x <= 100000"]
#: needs = "no network isolation"
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
x = 0
while x < 5000 and libc.shmget(0, 4096, 0o1600) >= 0:
    x += 1
for _ in range(1000):
    libc.msgget(0, 0o1600)
    libc.semget(0, 1, 0o1600)

#: tries = "ptrace and process_vm_readv of every process in sight"
#: expects = ["measured not set(x) - {'docker-init', 'bwrap', 'python', 'python3', 'tini', 'sleep'}"]
#: needs = "no file system isolation"
#: ci = true
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
x = []
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) != os.getpid():
        if libc.ptrace(16906, int(name), 0, 0) == 0:
            with open("/proc/%s/comm" % name) as file:
                x.append(file.read().strip())
            libc.ptrace(17, int(name), 0, 0)

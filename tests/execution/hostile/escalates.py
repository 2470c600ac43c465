#: tries = "root, mounts, another root, another host name"
#: expects = ["measured x == []"]
#: needs = "runs as root"
#: ci = true
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
x = []
try:
    os.setuid(0)
    x.append("became root")
except (OSError, PermissionError):
    pass
if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
    x.append("mounted")
if libc.chroot(b"/tmp") == 0:
    x.append("changed root")
if libc.sethostname(b"owned", 5) == 0:
    x.append("renamed the host")

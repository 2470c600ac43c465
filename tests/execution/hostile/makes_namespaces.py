#: tries = "a user namespace, and from it the machine's files made writable"
#: expects = ["measured x == []"]
#: needs = "no file system isolation"
#: ci = true
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
x = []
libc.unshare(0x10000000 | 0x00020000)
for folder in (b"/", b"/usr", b"/bin", b"/lib", b"/etc", b"/opt"):
    libc.mount(None, folder, None, 0x1000 | 0x20, None)
    name = os.path.join(folder.decode("ascii"), "tfbisect-owned")
    try:
        with open(name, "w"):
            x.append(name)
    except (OSError, IOError):
        pass

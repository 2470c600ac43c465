#: tries = "sockets of odd families: packets, virtual machines, raw IP"
#: expects = ["measured x == []"]
#: needs = "no network isolation"
import socket

x = []
for name, family, kind, number in [("packet", 17, 3, 768), ("raw", 2, 3, 1), ("raw6", 10, 3, 58)]:
    try:
        socket.socket(family, kind, number)
        x.append(name)
    except (OSError, IOError, socket.error):
        pass
try:
    caller = socket.socket(40, 1, 0)
    caller.settimeout(1)
    caller.connect((2, 22))
    x.append("vsock")
except (OSError, IOError, socket.error, TypeError, OverflowError):
    pass

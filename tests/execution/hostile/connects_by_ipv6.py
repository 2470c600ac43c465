#: tries = "the machine by IPv6: loopback, link-local, all nodes"
#: expects = ["measured x == []"]
#: needs = "no network isolation"
#: ci = true
import socket

x = []
for address in ("::1", "::ffff:127.0.0.1", "fe80::1", "ff02::1", "2001:4860:4860::8888"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            caller = socket.socket(socket.AF_INET6, kind)
            caller.settimeout(1)
            caller.connect((address, PORT))
            if kind == socket.SOCK_STREAM or address not in ("::1", "::ffff:127.0.0.1"):
                x.append(address)
        except (OSError, IOError, socket.error):
            pass

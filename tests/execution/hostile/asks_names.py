#: tries = "names of the network: the resolver, and a name server by hand"
#: expects = ["measured x == []"]
#: needs = "no network isolation"
#: within = 40
import socket

x = []
for name in ("localhost.localdomain.invalid", "example.com", "pypi.org", "host.docker.internal"):
    try:
        x.append(socket.getaddrinfo(name, 80)[0][4][0])
    except (OSError, IOError, socket.error):
        pass
caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
caller.settimeout(1)
for server in ("8.8.8.8", "127.0.0.11", "172.17.0.1"):
    try:
        caller.sendto(b"\x00\x01\x01\x00\x00\x01" + b"\x00" * 6 + b"\x07example\x03com\x00\x00\x01\x00\x01", (server, 53))
        x.append(caller.recv(512) and server)
    except (OSError, IOError, socket.error):
        pass

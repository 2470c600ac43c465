#: tries = "the machine's sockets, by abstract name and by path"
#: expects = ["measured x == []"]
#: needs = "no network isolation"
#: ci = true
import os
import socket

x = []
names = ["\0tfbisect-canary", "SOCKET", "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
         "/run/dbus/system_bus_socket", "/run/systemd/private", "/var/run/postgresql/.s.PGSQL.5432"]
for name in names:
    caller = socket.socket(socket.AF_UNIX)
    try:
        caller.connect(name)
        x.append(name)
    except (OSError, IOError, socket.error):
        pass

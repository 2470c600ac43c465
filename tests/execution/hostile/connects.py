#: tries = "the machine by IPv4, by every address that it has"
#: expects = ["measured x == []"]
#: needs = "no network isolation"
#: ci = true
import socket

x = []
for address in ADDRESSES:
    caller = socket.socket()
    caller.settimeout(2)
    try:
        caller.connect((address, PORT))
        x.append(address)
    except (OSError, socket.error):
        pass
    finally:
        caller.close()

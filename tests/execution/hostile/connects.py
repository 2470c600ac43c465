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

#: tries = "memory without end"
#: expects = ["out-of-memory"]
#: ci = true
kept = []
while True:
    kept.append(bytearray(b"x") * (8 << 20))

import os

for descriptor in range(3, 64):
    try:
        for _ in range(60):
            os.write(descriptor, LINE * ((1 << 20) // len(LINE)))
    except OSError:
        pass
x = 1

#: tries = "a million prints of one byte"
#: expects = ["output-flood", "measured x == 1", "timed-out"]
#: seconds = 10
#: within = 40
import os

for _ in range(1000000):
    os.write(2, b"x")
x = 1

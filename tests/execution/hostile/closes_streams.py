#: tries = "standard input, output and error closed"
#: expects = ["measured x == 1"]
import os

for descriptor in range(3):
    os.close(descriptor)
x = 1

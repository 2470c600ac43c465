#: tries = "a gigabyte printed"
#: expects = ["output-flood"]
#: ci = true
import sys

for _ in range(1024):
    sys.stdout.write("x" * (1 << 20))

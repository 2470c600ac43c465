#: tries = "a megabyte printed"
#: expects = ["measured x == 1"]
import sys

print("first words")
for _ in range(1000):
    sys.stdout.write("x" * 1000)
print("last words")
x = 1

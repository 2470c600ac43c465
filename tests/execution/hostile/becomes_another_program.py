#: tries = "exec into a program that knows no protocol"
#: expects = ["timed-out"]
#: seconds = 3
import os

os.execv("/bin/sleep", ["sleep", "600"])

#: tries = "processes without end"
#: expects = ["timed-out"]
#: needs = "no limit of processes"
#: seconds = 4
#: ci = true
import os

while True:
    try:
        os.fork()
    except OSError:
        pass

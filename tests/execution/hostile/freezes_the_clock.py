#: tries = "time.time stands still at zero"
#: expects = ["measured x == 1"]
#: ci = true
import time

time.time = lambda: 0.0
x = 1

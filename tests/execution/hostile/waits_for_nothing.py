#: tries = "ten minutes of sleep"
#: expects = ["timed-out"]
#: seconds = 2
import time

time.sleep(600)

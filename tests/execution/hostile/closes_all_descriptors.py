#: tries = "every descriptor closed: deaf and mute"
#: expects = ["timed-out"]
#: seconds = 4
import os
import time

os.closerange(0, 256)
time.sleep(1000)

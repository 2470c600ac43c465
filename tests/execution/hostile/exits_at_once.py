#: tries = "leaves without an answer"
#: expects = ["exited 3"]
import os

os._exit(3)

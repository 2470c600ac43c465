#: tries = "sys.exit in the middle"
#: expects = ["untestable"]
import sys

sys.exit(0)

#: tries = "abort()"
#: expects = ["signalled 6"]
import os

os.abort()

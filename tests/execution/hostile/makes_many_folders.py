#: tries = "a folder in a folder in a folder, thousands deep"
#: expects = ["measured x <= 40000", "out-of-memory"]
#: ci = true
#: within = 60
import os
import tempfile

os.chdir(tempfile.gettempdir())
x = 0
try:
    while x < 20000:
        os.mkdir("d")
        os.chdir("d")
        x += 1
except (OSError, IOError):
    pass

#: tries = "as much of /tmp as it gets"
#: expects = ["measured x <= tmp_megabytes"]
#: ci = true
import os
import tempfile

x = 0
try:
    with open(os.path.join(tempfile.gettempdir(), "full"), "wb") as file:
        while x < 256:
            file.write(b"x" * (1 << 20))
            file.flush()
            x += 1
except (OSError, IOError):
    pass

#: tries = "links in its folder to the machine's files, to be removed with it"
#: expects = ["measured x > 0"]
import os
import tempfile

folder = tempfile.gettempdir()
x = 0
for target in ("CANARY", "/", "/etc", "/usr", "/tmp"):
    for place in (folder, "."):
        try:
            os.symlink(target, os.path.join(place, "link%d" % x))
            x += 1
        except OSError:
            pass

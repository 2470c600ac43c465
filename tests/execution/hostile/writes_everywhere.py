#: tries = "a file in every folder"
#: expects = ["measured set(x) <= {'/tmp', '/dev/shm'}"]
#: needs = "no file system isolation"
import os
import sys

x = []
for folder in ["/", "/usr", "/etc", "/home", "/root", "/var/tmp", "/dev", "/opt", sys.prefix, os.path.dirname(os.__file__), "/tmp"]:
    path = os.path.join(folder, "tfbisect-hostile")
    try:
        with open(path, "w") as file:
            file.write("x")
        os.remove(path)
        x.append(folder)
    except (OSError, IOError):
        pass

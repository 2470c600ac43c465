#: tries = "every writable file below /proc/sys, and the magic keys"
#: expects = ["measured x == []"]
#: needs = "runs as root"
import os

x = []
for folder, _, names in os.walk("/proc/sys"):
    for name in names:
        path = os.path.join(folder, name)
        try:
            with open(path) as file:
                found = file.read()
            with open(path, "w") as file:
                file.write(found)
            x.append(path)
        except (OSError, IOError, ValueError):
            pass
try:
    with open("/proc/sysrq-trigger", "w") as file:
        file.write("h")
    x.append("sysrq")
except (OSError, IOError):
    pass

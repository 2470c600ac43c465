#: tries = "the machine's files through mounts, /proc and links"
#: expects = ["measured x == []"]
#: needs = "no file system isolation"
#: ci = true
import os

paths = ["SECRET", "/proc/1/root" + "SECRET", "/proc/self/root" + "SECRET", "/proc/1/cwd" + "SECRET", "/root/.bashrc", "/etc/shadow",
         "/var/lib/docker", "/.dockerenv-host", "/host", "/mnt", "/proc/1/environ"]
x = []
for path in paths:
    try:
        if os.path.isdir(path):
            found = os.listdir(path)
        else:
            with open(path, "rb") as file:
                found = file.read()
        if found and (path != "/proc/1/environ" or b"hunter2" in found):
            x.append(path)
    except (OSError, IOError):
        pass
with open("/proc/self/mountinfo") as file:
    for line in file:
        parts = line.split()
        folder, options = parts[4], parts[5].split(",")
        if "rw" in options and not folder.startswith(("/proc", "/dev", "/tmp", "/sys")):
            x.append("writable: " + folder)

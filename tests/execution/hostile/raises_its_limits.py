#: tries = "its own limits raised, and its place in the line for the out-of-memory killer"
#: expects = ["measured x == []"]
#: needs = "runs as root"
import os
import resource

x = []
for name in ("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_MEMLOCK", "RLIMIT_RTPRIO"):
    number = getattr(resource, name, None)
    if number is None:
        continue
    soft, hard = resource.getrlimit(number)
    if hard == resource.RLIM_INFINITY:
        continue
    try:
        resource.setrlimit(number, (hard + 1, hard + 1))
        x.append(name)
    except (ValueError, OSError, resource.error):
        pass
try:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    x.append("oom_score_adj")
except (OSError, IOError):
    pass
try:
    os.nice(-10)
    x.append("nice")
except (OSError, IOError):
    pass

"""What a child could have changed for those that come after it, and how files are brought back."""

import os


def surroundings(folders):
    """Return all that a child could have changed for those that come after it, by name."""
    import fcntl
    import resource

    found = {"limits": [resource.getrlimit(number) for number in range(16)]}
    found["flags"] = [(fcntl.fcntl(each, fcntl.F_GETFL), pipe_bytes(each)) for each in (1, 2)]
    found["priority"] = os.nice(0)
    for name in ("sched_getaffinity", "sched_getscheduler"):
        if hasattr(os, name):
            found[name] = getattr(os, name)(0)
    for name in ("sysvipc/msg", "sysvipc/sem", "sysvipc/shm", "net/tcp", "net/tcp6", "self/oom_score_adj"):
        found[name] = text_in("/proc/" + name)
    mine = "%d:" % os.getuid()
    found["keys"] = [line for line in text_in("/proc/key-users").splitlines() if line.split()[:1] == [mine]]
    status = text_in("/proc/self/status").splitlines()
    names = ("TracerPid:", "SigBlk:", "SigIgn:", "SigCgt:", "Cpus_allowed:", "NoNewPrivs:", "Seccomp:")
    found["status"] = [line for line in status if line.startswith(names)]
    found["files"] = sorted(path for folder in folders + ["/dev/mqueue"] for path in inside(folder))
    return found


def inside(folder):
    """Return what a folder holds, parents first, without other file systems that are mounted below it.

    Folders are made readable on the way: what a child hid is found.
    """
    found, device = [], os.lstat(folder).st_dev if os.path.isdir(folder) else None
    for path, inner, files in os.walk(folder):
        inner[:] = [each for each in inner if os.lstat(os.path.join(path, each)).st_dev == device]
        for each in inner:
            try:
                os.chmod(os.path.join(path, each), 0o700)
            except OSError:
                pass  # not ours
        found.extend(os.path.join(path, each) for each in inner + files)
    return found


def pipe_bytes(descriptor):
    """Return how much a pipe holds; None for what is no pipe."""
    import fcntl

    try:
        return fcntl.fcntl(descriptor, 1032)  # F_GETPIPE_SZ, which the module does not name before Python 3.10
    except (IOError, OSError):
        return None


def text_in(path):
    """Return a file's text; "" where it cannot be read."""
    try:
        with open(path, "rb") as source:
            return source.read().decode("utf-8", "replace")
    except (IOError, OSError):
        return ""


def contents(folders):
    """Return the files that an import left, by path, None for a folder; Keras writes a configuration, for one."""
    found = []
    for path in (path for folder in folders for path in inside(folder)):
        if os.path.isdir(path):
            found.append((path, None))
        elif os.path.isfile(path):
            with open(path, "rb") as source:
                found.append((path, source.read()))
    return found


def restore(folders, found):
    """Bring folders back to what they held, as far as a child lets us: what differs is found in the surroundings."""
    for path in (path for folder in folders for path in reversed(inside(folder))):
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            else:
                os.remove(path)
        except OSError:
            pass
    for path, words in found:
        try:
            if words is None:
                os.mkdir(path)
            else:
                with open(path, "wb") as target:
                    target.write(words)
        except (IOError, OSError):
            pass


def memory_kills():
    """Return how often the kernel ended a process of this container for want of memory; None where it does not say."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        for line in text_in(path).splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def own_memory_bytes():
    """Return the memory that this process has for itself; 0 where the system does not say."""
    for line in text_in("/proc/self/status").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0

#: tries = "all that one user lets a child do to the process that forked it"
#: expects = ["measured set(x) <= {'kill', 'stop', 'interrupt'}"]
#: ci = true
# Tries all that one user lets a child do to its parent; says what went through.
import ctypes
import fcntl
import os
import resource
import signal
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
parent, through = os.getppid(), []
try:
    what = WHAT  # a test puts a text in its place
except NameError:
    what = "nothing"


def attempt(name, function):
    try:
        if function() is not False:
            through.append(name)
    except Exception:
        pass


def write_memory():
    with open("/proc/%d/mem" % parent, "r+b"):
        pass


def hold_limits():
    libc.prlimit(parent, resource.RLIMIT_NOFILE, (ctypes.c_ulong * 2)(40, 40), None)


attempt("kill", lambda: os.kill(parent, signal.SIGKILL))
attempt("stop", lambda: os.kill(parent, signal.SIGSTOP))
attempt("interrupt", lambda: os.kill(parent, signal.SIGINT))
attempt("ptrace", lambda: libc.ptrace(16, parent, None, None) == 0)
attempt("memory", write_memory)
attempt("descriptors", lambda: len(os.listdir("/proc/%d/fd" % parent)))
attempt("channel", lambda: os.write(os.open("/proc/%d/fd/1" % parent, os.O_WRONLY), b"forged\n"))
if what == "limits":
    hold_limits()
if what == "flags":
    fcntl.fcntl(2, fcntl.F_SETFL, fcntl.fcntl(2, fcntl.F_GETFL) | os.O_NONBLOCK)
if what == "pipe":
    fcntl.fcntl(2, 1031, 4096)
if what == "affinity":
    os.sched_setaffinity(parent, {min(os.sched_getaffinity(0))})
if what == "shared memory":
    libc.shmget(4711, 4096, 0o1666)
if what == "files":
    for folder in ("/tmp", "/dev/shm"):
        os.makedirs(folder + "/left/deep")
        with open(folder + "/left/deep/json.py", "w") as target:
            target.write("raise SystemExit(1)")
        os.chmod(folder + "/left/deep", 0)
        os.chmod(folder + "/left", 0)
if what == "daemon":
    subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(0.01)"], preexec_fn=os.setsid)
x = through

#: tries = "all handles of inotify and pages of pipes that the kernel lets one user have"
#: expects = ["timed-out"]
#: seconds = 4
"""Take all handles of inotify and pages of pipes that the kernel lets one user have, and hold them."""

import ctypes
import fcntl
import os
import time

SET_PIPE_SIZE = 1031
libc = ctypes.CDLL(None)
for child in range(4):
    if os.fork() == 0:
        for each in range(40):
            if libc.inotify_init() < 0:
                break
        try:
            for each in range(16):
                for end in os.pipe():
                    if hasattr(os, "set_inheritable"):
                        os.set_inheritable(end, True)
                fcntl.fcntl(end, SET_PIPE_SIZE, 1 << 20)
        except EnvironmentError:
            pass
        os.execvp("sleep", ["sleep", "DURATION"])
time.sleep(60)

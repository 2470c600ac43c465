#: tries = "the machine's clock and time zone"
#: expects = ["measured x == []"]
import ctypes
import os
import time

libc = ctypes.CDLL(None, use_errno=True)


class Moment(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("rest", ctypes.c_long)]


x = []
if libc.settimeofday(ctypes.byref(Moment(1, 0)), None) == 0:
    x.append("settimeofday")
if libc.clock_settime(0, ctypes.byref(Moment(1, 0))) == 0:
    x.append("clock_settime")
if libc.stime(ctypes.byref(ctypes.c_long(1))) == 0 if hasattr(libc, "stime") else False:
    x.append("stime")

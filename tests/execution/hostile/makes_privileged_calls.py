#: tries = "device nodes, swap, reboot, host name, raw ports, modules"
#: expects = ["measured x == []"]
#: needs = "runs as root"
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "mknod": lambda: libc.mknod(b"/tmp/sda", 0o60666, 0x800),
    "swapoff": lambda: libc.swapoff(b"/swapfile"),
    "sethostname": lambda: libc.sethostname(b"owned", 5),
    "setdomainname": lambda: libc.setdomainname(b"owned", 5),
    "pivot_root": lambda: libc.syscall(155, b"/tmp", b"/tmp"),
    "init_module": lambda: libc.syscall(175, b"x", 1, b""),
    "ioperm": lambda: libc.ioperm(0, 8, 1),
    "iopl": lambda: libc.iopl(3),
    "acct": lambda: libc.acct(b"/tmp/acct"),
    "quotactl": lambda: libc.syscall(179, 0x800002 << 8, b"/dev/sda", 0, None),
    "setns": lambda: libc.setns(0, 0x40000000),
    "open_by_handle_at": lambda: 0 if libc.syscall(304, -100, b"x" * 16, 0) >= 0 else -1,
}
x = sorted(name for name, made in calls.items() if made() == 0)

#: tries = "the machine's memory, disks, terminals and kernel log"
#: expects = ["measured x == []"]
#: needs = "no file system isolation"
import os

x = []
for name in ("mem", "kmem", "port", "kmsg", "sda", "vda", "nvme0n1", "fuse", "kvm", "tty0", "console", "loop0", "vsock", "dri/card0"):
    try:
        os.close(os.open("/dev/" + name, os.O_RDONLY | os.O_NONBLOCK))
        x.append(name)
    except OSError:
        pass
for path in ("/proc/kcore", "/proc/kmsg", "/sys/kernel/debug", "/sys/firmware/dmi/tables/DMI", "/proc/1/mem"):
    try:
        with open(path, "rb") as file:
            if file.read(1):
                x.append(path)
    except (OSError, IOError):
        pass

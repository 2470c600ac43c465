#: tries = "processes, environments and files of the machine"
#: expects = ["measured x['processes'] <= 3 and not x['home_of_root'] and not x['sockets'] and not x['secret'] and 'hunter2' not in str(x)"]
#: needs = "no file system isolation"
import os


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("latin-1")
    except OSError:
        return ""


processes = [name for name in os.listdir("/proc") if name.isdigit()]
x = {
    "processes": len(processes),
    "environments": [read("/proc/%s/environ" % process) for process in processes],
    "home_of_root": [name for name in ("/root/.ssh", "/root/.bashrc", "/etc/shadow") if read(name)],
    "sockets": [path for path in ("/var/run/docker.sock", "/run/docker.sock") if os.path.exists(path)],
    "secret": os.path.exists("SECRET_FILE"),
}

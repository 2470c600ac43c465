#: tries = "sys.modules and the import system are taken away"
#: expects = ["measured x == 1", "exited 70", "untestable"]
import sys

x = 1
sys.meta_path[:] = []
sys.path[:] = []
for name in list(sys.modules):
    if name not in ("sys", "builtins", "__builtin__"):
        del sys.modules[name]

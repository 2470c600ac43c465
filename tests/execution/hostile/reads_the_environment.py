#: tries = "secrets in the environment, its own and others'"
#: expects = ["measured x == []"]
#: needs = "processes of others can be seen"
#: ci = true
import os

texts = [repr(dict(os.environ))]
for name in os.listdir("/proc"):
    if name.isdigit():
        for part in ("environ", "cmdline"):
            try:
                with open("/proc/%s/%s" % (name, part), "rb") as file:
                    texts.append(file.read().decode("latin-1"))
            except (OSError, IOError):
                pass
x = sorted(set(word for word in ("hunter2", "TFBISECT_DATABASE", "TFBISECT_TOKEN", "PASSWORD") for text in texts if word in text))

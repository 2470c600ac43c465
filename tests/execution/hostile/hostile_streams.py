#: tries = "standard output and error replaced by objects that raise"
#: expects = ["measured x == 1"]
import sys


class Odd(object):
    encoding = None

    def __getattr__(self, name):
        raise KeyboardInterrupt(name)


sys.stdout = sys.stderr = Odd()
x = 1

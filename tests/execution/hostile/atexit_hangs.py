#: tries = "a function at exit that never ends"
#: expects = ["measured x == 1"]
#: ci = true
import atexit


def hang():
    while True:
        pass


atexit.register(hang)
x = 1

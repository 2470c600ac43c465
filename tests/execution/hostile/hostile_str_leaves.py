#: tries = "an exception whose __str__ leaves the process"
#: expects = ["raised Odd", "exited 9", "exited 70", "untestable"]
class Odd(Exception):
    def __str__(self):
        raise SystemExit(9)

    __repr__ = __str__


raise Odd()

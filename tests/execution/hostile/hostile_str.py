#: tries = "an exception whose __str__ and __repr__ raise"
#: expects = ["raised Odd"]
#: ci = true
class Odd(Exception):
    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


raise Odd()

#: tries = "an array that turns into itself for ever"
#: expects = ["measured", "untestable", "exited 70"]
#: ci = true
class Odd(object):
    def tolist(self):
        return self


x = Odd()

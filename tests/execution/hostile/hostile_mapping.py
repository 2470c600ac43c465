#: tries = "a mapping without end"
#: expects = ["out-of-memory", "timed-out", "untestable the probe's result cannot be told"]
#: seconds = 10
#: within = 60
class Odd(dict):
    def items(self):
        number = 0
        while True:
            number += 1
            yield number, number


x = Odd(a=1)

#: tries = "a loop without end"
#: expects = ["timed-out"]
#: seconds = 2
while True:
    pass

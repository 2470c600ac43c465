#: tries = "a result that holds itself"
#: expects = ["measured", "untestable"]
x = []
x.append(x)

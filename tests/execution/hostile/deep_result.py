#: tries = "a result nested a thousand deep"
#: expects = ["measured", "untestable"]
#: ci = true
x = []
for _ in range(900):
    x = [x]

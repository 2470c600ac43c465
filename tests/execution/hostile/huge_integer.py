#: tries = "an integer of 5,000 digits as the result"
#: expects = ["measured"]
#: ci = true
x = 10 ** 5000

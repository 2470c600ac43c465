#: tries = "lone surrogates and NUL in the names and values of a result"
#: expects = ["measured"]
x = {u"\ud800\0": [u"\udfff\0", u"\x1b[2J"]}

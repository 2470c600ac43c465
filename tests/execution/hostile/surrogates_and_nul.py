#: tries = "lone surrogates and NUL in names, values, messages and printing"
#: expects = ["raised ValueError"]
#: ci = true
import sys

sys.stderr.write("\0\0")
names = {u"\ud800\0": u"\udfff\0"}
raise ValueError(u"\ud800 \0 %s" % list(names))

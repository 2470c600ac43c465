#: tries = "terminal commands and bidirectional controls in all that is told"
#: expects = ["raised"]
#: ci = true
import os
import sys

words = u"\x1b[2J\x1b]0;owned\x07\u202e\u2066\u200f\x9b31m\r"
os.write(2, words.encode("utf-8"))
error = type("Error", (Exception,), {"__module__": "owned"})
try:
    error.__name__ = "E\x1b[31mE"
except (TypeError, ValueError):
    pass
raise error(words)

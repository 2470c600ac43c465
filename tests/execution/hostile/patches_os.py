#: tries = "os.write, os.dup2 and os._exit do something else"
#: expects = ["measured x == 1", "untestable something other than the probe wrote", "exited 70", "timed-out"]
#: seconds = 5
import os

os.write = lambda descriptor, words: len(words)
os.dup2 = lambda *given: None
os._exit = lambda status: None
x = 1

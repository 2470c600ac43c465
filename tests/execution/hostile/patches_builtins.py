#: tries = "isinstance, len and str lie"
#: expects = ["measured", "untestable", "untestable something other than the probe wrote", "exited 70", "exited 1"]
try:
    import builtins
except ImportError:
    import __builtin__ as builtins

builtins.isinstance = lambda *given: True
builtins.len = lambda given: -1
builtins.sum = lambda given: "owned"
x = 1

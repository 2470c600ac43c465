#: tries = "a result of 8 MiB"
#: expects = ["untestable the probe's result has", "measured"]
x = "x" * (8 << 20)

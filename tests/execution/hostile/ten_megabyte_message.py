#: tries = "an exception whose message has ten megabytes"
#: expects = ["raised ValueError"]
#: ci = true
raise ValueError("x" * (10 << 20))

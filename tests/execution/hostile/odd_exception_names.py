#: tries = "an exception whose class has a name of markup and newlines"
#: expects = ["raised"]
error = type("<script>alert(1)</script>\n#[x](javascript:alert(1))", (Exception,), {})
raise error("x")

#: tries = "HTML, Markdown links and CSV formulas in a result"
#: expects = ["measured"]
x = ["<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "```\n# x", "=HYPERLINK(\"http://x\")", "| a | b |"]

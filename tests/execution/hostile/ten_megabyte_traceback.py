#: tries = "a chain of a thousand exceptions"
#: expects = ["raised RuntimeError", "untestable"]
def fail(depth):
    try:
        if depth:
            fail(depth - 1)
        raise KeyError("x" * 10000)
    except KeyError:
        raise RuntimeError("y" * 10000)


fail(300)

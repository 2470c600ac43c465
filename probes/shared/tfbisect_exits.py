"""How a script that leaves by `SystemExit` would end as a process."""

import sys


def exit_code(code):
    """Return what a process that ends so would answer with."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    sys.stderr.write("%s\n" % code)
    return 1

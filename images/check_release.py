"""Says whether this Python, 2.7 or later, imports a module in a version; ends with a message where it does not."""

import importlib
import sys


def main(name, release):
    """Import and compare."""
    try:
        found = importlib.import_module(name).__version__
    except ImportError as error:
        # The driver's library is no part of an image: it comes with the device.
        return "" if "libcuda.so" in str(error) else " ".join(["cannot import", name + ":", str(error)])
    same = found.replace("-", "") == release.replace("-", "")
    return "" if same else " ".join([name, "is", found, "here, not", release])


sys.exit(main(*sys.argv[1:]) or 0)

"""Runs any script and hands over all that it can be judged by: exit code, exception, output, reported values."""

import hashlib
import os
import sys
import tempfile

KEPT_BYTES = 256 * 1024


def run(context):
    reported = []
    measurements = {"parameters": dict(context.parameters), "reported": reported, "exit_code": 0, "raised": None}
    output = Output()
    try:
        context.execute(tfbisect_report=lambda name, value: reported.append([str(name), told(value)]))
    except SystemExit as error:
        measurements["exit_code"] = exit_code(error.code)
    except context.Raised as error:
        measurements["raised"] = context.described(error)
        if measurements["raised"]["kind"] == "refused":
            raise
    finally:
        measurements["output"], measurements["cut"] = output.taken()
    return measurements


def exit_code(code):
    """Return what a process that ends so would answer with."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    sys.stderr.write("%s\n" % code)
    return 1


class Output(object):
    """Collects what goes to standard output, from Python and from native code, until it is taken."""

    def __init__(self):
        sys.stdout.flush()
        self._file = tempfile.TemporaryFile()
        self._former = os.dup(1)
        os.dup2(self._file.fileno(), 1)

    def taken(self):
        """Return the first part of the output, and whether it was cut; the rest of the world sees it too."""
        sys.stdout.flush()
        os.dup2(self._former, 1)
        self._file.seek(0)
        kept = self._file.read(KEPT_BYTES + 1)
        os.write(2, kept[:KEPT_BYTES])
        return kept[:KEPT_BYTES].decode("utf-8", "replace"), len(kept) > KEPT_BYTES


def told(value):
    """Return a reported value: numbers and texts as they are, arrays by shape, kind and digest."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "tobytes") and getattr(value, "shape", ()) != ():
        digest = hashlib.sha256(value.tobytes()).hexdigest()[:16]
        return {"shape": list(value.shape), "dtype": str(value.dtype), "digest": digest}
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, type(""))):
        return value
    return str(value)

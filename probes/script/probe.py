"""Runs any script and hands over all that it can be judged by: exit code, exception, output, reported values."""

import hashlib
import os
import re
import sys

from tfbisect_echo import Collected
from tfbisect_exits import exit_code
from tfbisect_offline import DatasetFinder

KEPT_BYTES = 256 * 1024
TAIL_BYTES = 32 * 1024
KEPT_WARNED = 64 * 1024
# As text it takes up to four times as much memory.
SEARCHED_BYTES = 64 * 1024 * 1024
KEPT_ITEMS = 1000
FOUND_CHARACTERS = 500


def run(context):
    reported = []
    measurements = {"parameters": dict(context.parameters), "reported": reported, "exit_code": 0, "raised": None}
    pattern = context.parameters.get("pattern") or context.parameters.get("bad_pattern")
    # Errors and warnings are held back only where they are searched: of a crash they tell more when they come at once.
    output, errors = Output("stdout"), Output("stderr") if pattern else None
    sys.meta_path.insert(0, DatasetFinder(stand_ins(context)))
    try:
        context.execute(tfbisect_report=lambda name, value: reported.append([str(name), told(value)]))
    except SystemExit as error:
        measurements["exit_code"] = exit_code(error.code)
    except context.Raised as error:
        measurements["raised"] = context.described(error)
        if measurements["raised"]["kind"] == "refused":
            raise
    finally:
        warned = errors.all_of_it() if errors else ""
        printed = output.all_of_it() if pattern else ""
        measurements.update(output.kept())
    if pattern:
        measurements["searched"] = pattern
        measurements["warned"], measurements["warned_cut"] = warned[:KEPT_WARNED], len(warned) > KEPT_WARNED
        trail = (measurements["raised"] or {}).get("traceback", "")
        measurements["found"] = found(context, pattern, "\n".join((printed, warned, trail)))
    return measurements


def stand_ins(context):
    """Return what answers for a data set; NumPy is there by then, since the data set's own module needs it."""

    def answer(name, module):
        load_with_framework()  # noqa: F821 - stands in front of this text, with the modules that it makes
        from tfbisect_datasets import answer_module

        answer_module(context, name, module)

    return answer


def found(context, pattern, text):
    """Return what a pattern matches in a text; None: nothing.

    It is searched here, where time and memory are bounded: a pattern can take for ever.
    """
    try:
        match = re.search(pattern, text, re.MULTILINE)
    except re.error as error:
        raise context.Untestable(
            "the pattern is no regular expression in Python %d.%d: %s"
            % (sys.version_info[0], sys.version_info[1], error)
        )
    return match.group()[:FOUND_CHARACTERS] if match else None


class Output(object):
    """Collects what goes to a standard stream until it is asked for."""

    def __init__(self, name):
        self._collected, self._file = Collected(name), None

    def _read(self, start, most):
        if self._file is None:
            self._file = self._collected.back()
        self._file.seek(start)
        return self._file.read(most)

    def all_of_it(self):
        """Return all of the output, as far as it can be searched."""
        return self._read(0, SEARCHED_BYTES).decode("utf-8", "replace")

    def kept(self):
        """Return the beginning of the output, its end if something between is left out, and how much that is."""
        beginning = self._read(0, KEPT_BYTES)
        size = os.fstat(self._file.fileno()).st_size
        facts = {"output": beginning.decode("utf-8", "replace"), "cut": size > KEPT_BYTES}
        if facts["cut"]:
            facts["tail"] = self._read(max(KEPT_BYTES, size - TAIL_BYTES), TAIL_BYTES).decode("utf-8", "replace")
            facts["bytes"], facts["left_out"] = size, max(0, size - KEPT_BYTES - TAIL_BYTES)
            facts["unsearched"] = max(0, size - SEARCHED_BYTES)
        return facts


def told(value):
    """Return a reported value: numbers and texts as they are, lists item by item, arrays by shape, kind and digest."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "tobytes") and getattr(value, "shape", ()) != ():
        digest = hashlib.sha256(value.tobytes()).hexdigest()[:16]
        return {"shape": list(value.shape), "dtype": str(value.dtype), "digest": digest}
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, type(""))):
        return value
    if isinstance(value, (list, tuple)) and len(value) <= KEPT_ITEMS:
        return [told(item) for item in value]
    if isinstance(value, dict) and len(value) <= KEPT_ITEMS:
        return {str(name): told(item) for name, item in value.items()}
    return str(value)

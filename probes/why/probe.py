"""Runs another probe while some functions of the release have the text of the other release.

The request says which, with that text; see docs/why.md. What the other probe answers is handed on as it is.
"""

import base64
import importlib
import os
import zlib

from why_donors import Donor
from why_swapping import Swapping
from why_tracing import Traced, loaded

MOST_FAILURES = 200


def run(context):
    asked = context.parameters.pop("why")
    for name, value in asked.get("variables", {}).items():
        os.environ[name] = value
    missed = imported(asked.get("imports", ()))
    swapping = Swapping(donors_of(asked))
    swapping.carry_out(asked.get("added", []), asked.get("swaps", []))
    for source in asked.get("switches", ()):
        exec(compile(source, "switch", "exec", 0, True), {})
    traced = Traced()
    if asked.get("traces"):
        with traced:
            answer = answer_of(context)
    else:
        answer = answer_of(context)
    told = {"done": swapping.done, "failed": swapping.failed[:MOST_FAILURES], "missed": missed}
    if asked.get("traces"):
        told.update(executed=traced.told(asked["roots"]), modules=loaded(asked["roots"]))
    return {"answer": answer, "why": told}


def answer_of(context):
    """Return the result of the other probe, in the form of the harness."""
    namespace = {"__name__": "probe"}
    exec(compile(PROBE, "probe.py", "exec", 0, True), namespace)  # noqa: F821 - stands in front of this text
    try:
        return {"kind": "measured", "measurements": namespace["run"](context)}
    except context.Raised as error:
        return context.described(error)
    except context.Untestable as error:
        return {"kind": "untestable", "message": str(error)}
    except context.Refused as error:
        return {"kind": "refused", "message": str(error), "line": error.line}


def imported(names):
    """Import modules; return those that cannot be."""
    missed = []
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException:
            missed.append(name)
    return missed


def donors_of(asked):
    """Return the files of the other release, by their path in this one."""
    found = {}
    for path, packed in asked.get("donors", {}).items():
        text = zlib.decompress(base64.b64decode(packed)).decode("utf-8", "replace")
        found[path] = Donor(path, text, asked.get("moved", {}))
    return found

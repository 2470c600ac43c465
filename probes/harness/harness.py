"""Runs one probe in one process and answers on a channel that the snippet cannot garble.

Started by a runner as source text in the namespace of `__main__`, on Python 2.7 or 3.5 to 3.13, with the standard
library alone; its parts travel in the same text. The protocol is in probes/README.md.
"""

import sys
import traceback

from harness_answering import respond
from harness_channel import Lines, channel_to_runner, flush, leave, mark
from harness_children import become_parent, serve
from harness_clocks import cpu_seconds, monotonic
from harness_execution import has_accelerator, has_opened_accelerator, imported, version_of
from harness_faults import message_of
from harness_surroundings import own_memory_bytes

# A snippet that looks through sys.modules does not find the parts. Python 2 empties a module that nobody holds.
PARTS = [sys.modules.pop(name) for name in sorted(sys.modules) if name.startswith("harness_")]


def ready(channel, name, word):
    """Import the framework ahead of need and say so; None when the import failed and the answer is given.

    With a word for the marks on standard error, answers come from children where the system lets them.
    """
    began, began_cpu = monotonic(), cpu_seconds()
    try:
        module = imported(name) if name else None
    except (Exception, SystemExit) as error:
        reason = "cannot import %s: %s: %s" % (name, type(error).__name__, message_of(error))
        channel.send({"event": "result", "result": {"kind": "untestable", "message": reason}, "probe_seconds": 0.0})
        return None
    forks = bool(word) and not has_opened_accelerator() and become_parent()
    if forks:
        flush()
        mark(word)
    channel.send(
        {
            "event": "ready",
            "forks": forks,
            "import_seconds": monotonic() - began,
            "import_cpu_seconds": cpu_seconds() - began_cpu,
            "framework": name,
            "version": version_of(module),
            "python": "%d.%d.%d" % sys.version_info[:3],
            # Which one it is, is told with the answer: who asks opens it, and what is open no child can use.
            "device": "" if name and has_accelerator() else "cpu",
            "memory_bytes": own_memory_bytes(),
        }
    )
    return module, forks


def main(held):
    channel = channel_to_runner()
    lines = Lines(held)
    opening = lines.next()
    if opening is None:
        return
    name = opening.get("framework") or ""
    framework = ready(channel, name, opening.get("id"))
    if framework is None:
        return
    if framework[1]:
        serve(channel, lines, name, framework[0], opening["folders"])
        return
    request = lines.next()
    if request is not None:
        respond(channel, name, framework[0], request)


if __name__ == "__main__":
    try:
        main(globals().get("held", b""))
    except BaseException:
        traceback.print_exc()
        leave(70)
    leave(0)

"""Answers one question of the runner."""

import os
import random

from harness_channel import flush
from harness_clocks import cpu_seconds, monotonic
from harness_context import Context, answer
from harness_execution import device_of, versions


def respond(channel, name, framework, request):
    """Answer one question of the runner."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    began, began_cpu = monotonic(), cpu_seconds()
    random.seed(0)
    context = Context(name, framework, request["snippet"], request.get("parameters") or {}, request.get("files") or {})
    result = answer(context, request["probe"])
    event = {"event": "result", "result": result, "probe_seconds": monotonic() - began, "packages": versions()}
    event["probe_cpu_seconds"] = cpu_seconds() - began_cpu
    event["device"] = device_of(name, framework)
    if context.notes:
        event["notes"] = context.notes
        if isinstance(result.get("measurements"), dict):
            result["measurements"].setdefault("notes", context.notes)
    flush()
    channel.send(event)

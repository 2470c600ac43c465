"""Tells a snippet's own fault from the behaviour of releases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def snippet_fault(results: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Say what is wrong with a snippet that fails alike in every release that answered, or None.

    One release proves nothing; two that raise the same at the same line of the snippet do, when none measured anything.

    Args:
        results: the harness's result by release, as in probes/README.md.
    """
    answered = [result for result in results.values() if result.get("kind") in ("measured", "raised")]
    raised = [raised_in(result) for result in answered]
    first = raised[0] if raised else None
    if len(raised) < 2 or first is None or any(facts is None for facts in raised):
        return None
    if len({(facts.get("exception"), facts.get("line")) for facts in raised if facts}) > 1:
        return None
    where = f" at line {first['line']}" if first.get("line") else ""
    return (
        f"the snippet raises {first.get('exception')}{where} in all {len(raised)} releases that were tried; "
        f"this is no behaviour of a release:\n{first.get('traceback', first.get('message', ''))}"
    )


def raised_in(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a result says was raised; the probe script keeps it among its measurements."""
    if result.get("kind") == "raised":
        return result
    measurements = result.get("measurements")
    found = measurements.get("raised") if isinstance(measurements, Mapping) else None
    return found if isinstance(found, Mapping) else None

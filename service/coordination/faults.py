"""Tells a mistake in the snippet from a behaviour of releases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from service.bisection.outcomes import RunReport, is_failure
from service.bisection.verdict import NothingTestable, Unchanged, Verdict
from service.catalog.notebooks import cell_and_line, with_cells
from service.errors import SnippetError

TRACEBACK_LINES = 12
LINE_CHARACTERS = 300
FIX = "fix it and submit again, or try other releases."
NO_MODULE = re.compile(r"No module named '?(\w+)|the snippet imports (\w+), which this environment does not have")
NETWORK = re.compile(
    r"URL fetch failure|urlopen error|name resolution|Name or service not known|Network is unreachable|getaddrinfo|"
    r"gaierror|Max retries exceeded|Failed to establish a new connection|LocalEntryNotFoundError|^ConnectionError\b"
)
"""What Python, Keras, requests and the Hugging Face Hub say where there is no network."""
WEIGHTS = re.compile(r"keras-applications|_weights_tf|/weights|imagenet")
BROKEN_IMPORTS = frozenset({"ImportError", "OSError"})
"""What the import of a package raises that lacks a shared library, or that does not fit the packages beside it."""


def snippet_fault(verdict: Verdict, reports: Mapping[str, RunReport], source: str) -> SnippetError | None:
    """Return what is wrong with a snippet that fails alike in every release that was tried, or None.

    A snippet that breaks off in some releases only shows how they behave, and one that breaks off in the only release
    that was tried may do so for either reason.

    Args:
        verdict: what is known of all releases.
        reports: a run of each release that was tried.
        source: the snippet, to name the places in it.
    """
    match verdict:
        case NothingTestable(gaps=gaps) if any(gap.kind == "refused" for gap in gaps):
            refused = [gap for gap in gaps if gap.kind == "refused"]
            return _refused(refused[0].reason, len(refused), _raised_first(reports), source)
        case Unchanged() if _is_of_a_package(_raised_first(reports), source):
            return None
        case Unchanged(outcome=outcome) if is_failure(outcome) and verdict.coverage.measured > 1:
            return _fails_alike(outcome, verdict.coverage.measured, reports, source)
        case _:
            return None


def _is_of_a_package(raised: Mapping[str, Any], source: str) -> bool:
    """Say whether a package itself failed while the snippet imported it: then the release is at fault."""
    line, lines = raised.get("line"), source.splitlines()
    if raised.get("exception") not in BROKEN_IMPORTS or raised.get("origin") != "framework":
        return False
    if NO_MODULE.search(str(raised.get("message", ""))) or not isinstance(line, int) or not 0 < line <= len(lines):
        return False
    return lines[line - 1].lstrip().startswith(("import ", "from "))


def _missing_module(raised: Mapping[str, Any]) -> str:
    """Return what to do about a module that no release has; "" where none is missing."""
    found = NO_MODULE.search(str(raised.get("message", "")))
    if found is None:
        return ""
    return f"name the package that has {found[1] or found[2]} with --with (`with` in a request)."


def without_network(raised: Mapping[str, Any]) -> str:
    """Return what to do where a script failed because a run has no network; "" where it failed for another reason."""
    said = f"{raised.get('exception', '')}: {raised.get('message', '')}"
    if NETWORK.search(said) is None:
        return ""
    if WEIGHTS.search(said):
        return (
            "a run has no network, so pretrained weights cannot be loaded: use weights=None, or give the file with "
            "--file and name it in weights=."
        )
    return "a run has no network: give what the script loads with --file (a `project` in a request)."


def _refused(reason: str, releases: int, raised: Mapping[str, Any], source: str) -> SnippetError:
    """Return the error for a snippet that every release refused."""
    if not raised:
        return SnippetError(reason, field="snippet")
    tried = "the one release that was" if releases == 1 else f"all {releases} releases that were"
    advice = _missing_module(raised) or without_network(raised) or "fix it and submit again."
    message = f"{reason}{_place(raised, source)}, in {tried} tried; {advice}"
    return _error(message, raised, source)


def _fails_alike(outcome: str, releases: int, reports: Mapping[str, RunReport], source: str) -> SnippetError:
    """Return the error for a snippet that fails alike wherever it was tried."""
    raised = _raised_first(reports)
    message = (
        f"the snippet fails alike in all {releases} releases that were tried ({outcome}{_place(raised, source)}), so "
        f"it says nothing about any of them; {_missing_module(raised) or without_network(raised) or FIX}"
    )
    reasons = [report.reason for report in reports.values() if report.reason]
    return _error(f"{message} Each time {reasons[0]}." if reasons and not raised else message, raised, source)


def _error(message: str, raised: Mapping[str, Any], source: str) -> SnippetError:
    """Return a fault with the place in the snippet and the end of the traceback."""
    line = raised.get("line")
    trail = with_cells(str(raised.get("traceback", "")), source).strip("\n").splitlines()[-TRACEBACK_LINES:]
    trail = [each[:LINE_CHARACTERS] for each in trail]
    return SnippetError(
        message, field="snippet", line=line if isinstance(line, int) else None, traceback="\n".join(trail)
    )


def _place(raised: Mapping[str, Any], source: str) -> str:
    """Name the line of the snippet."""
    line = raised.get("line")
    return f" at {cell_and_line(source, line)}" if line and isinstance(line, int) else ""


def _raised_first(reports: Mapping[str, RunReport]) -> Mapping[str, Any]:
    """Return the exception of the first run that raised; empty if none did."""
    return next((facts for report in reports.values() if (facts := raised_in(report.result or {}))), {})


def raised_in(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the exception of a result, empty if there is none; the probe script puts it into its measurements."""
    if result.get("exception"):
        return result
    measurements = result.get("measurements")
    found = measurements.get("raised") if isinstance(measurements, Mapping) else None
    return found if isinstance(found, Mapping) else {}

"""The words with which a process is asked one question of a release, for whoever runs it without this program."""

from __future__ import annotations

from service.coordination.intake import Case, Track
from service.execution.channel import BOOT, opening, question
from service.execution.runner import RunRequest
from service.projects.files import unpacked

__all__ = ["BOOT", "words_of_a_run"]
FIRST_SEED = 1
"""What the first run of a release is seeded with, where runs are compared as samples."""


def words_of_a_run(case: Case, track: Track, packed: bytes | None = None) -> bytes:
    """Return the lines of standard input by which a process that BOOT has started answers for its release.

    Args:
        case: the request.
        track: which of its sources, asked by which probe.
        packed: the project that lies in the working folder, as the store keeps it.
    """
    probe = track.probe
    given = dict(track.asked)
    if probe.aspects is not None and not given.get("seed"):
        given["seed"] = FIRST_SEED
    request = RunRequest(
        run_id="",
        target=case.target(case.tree.all()[0]),
        harness_source=probe.harness_source,
        probe_source=probe.probe_source,
        framework=track.framework,
        snippet=track.snippet,
        parameters=given,
        files=unpacked(packed).sent if packed else {},
    )
    return opening(probe.harness_source, track.framework) + question(request)

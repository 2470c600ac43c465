"""How a bisection ends: with the verdict as JSON, or with the reason why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from service.bisection import words
from service.bisection.companions import between
from service.bisection.comparison import differences
from service.bisection.likeness import read_together
from service.bisection.outcomes import Outcome, RunReport
from service.bisection.variants import compare_variant, in_words
from service.bisection.verdict import NothingTestable, Verdict, VerdictFacts, to_json
from service.catalog.additions import not_addable
from service.coordination.faults import snippet_fault
from service.coordination.intake import SUBJECT, Case
from service.coordination.progress import Progress
from service.coordination.reproducing import reproduce_command
from service.coordination.stories import leading, notes_of, notes_of_runs, stories_of, summary_of
from service.coordination.variants import VARIANTS, cure_in_words
from service.errors import NoAnswer, TfbisectError
from service.json_text import text_digest

DONE: Literal["done"] = "done"
Ending = Literal["done", "failed", "cancelled", "interrupted", "taken-over"]
Running = Literal["running"]
RUNNING: Running = "running"
INTERRUPTED: Literal["interrupted"] = "interrupted"
"""This process is stopping; the bisection returns to the queue."""
TAKEN_OVER: Literal["taken-over"] = "taken-over"
"""Another coordinator holds the bisection, because this one did not renew its lease in time."""


@dataclass(frozen=True)
class Finished:
    status: Ending
    verdict: Mapping[str, Any] | None
    error: Mapping[str, Any] | None = None


def conclude(case: Case, bisection_id: str, tracks: Sequence[Progress], status: Ending) -> Finished:
    """Return the verdict on what is known."""
    subject = next(progress for progress in tracks if progress.track.name == SUBJECT)
    fault = no_verdict(subject.verdict, subject) if status == DONE else None
    ending: Ending = "failed" if fault else status
    said, shown = _said(case, bisection_id, subject, tracks, ending)
    others = [progress for progress in tracks if progress is not subject and not progress.track.is_aspect]
    if others:
        compared = _compared(subject, tracks)
        said["variants"] = [_variant_json(case, bisection_id, compared, progress, ending) for progress in others]
    said["additions"] = _additions_json(case, said["untestable"])
    said["words"] = " ".join([said["words"], *words.additions_in_words(said["additions"])])
    said["runs"] = {name: sum(getattr(progress, name) for progress in tracks) for name in said["runs"]}
    if shown.before_filling is not None:
        before = _verdict_json(case, bisection_id, shown, shown.before_filling, ending)
        said["filling_changed"] = list(differences(before, said))
    return Finished(ending, said, problem(fault) if fault else None)


def said_so_far(case: Case, bisection_id: str, tracks: Sequence[Progress]) -> Mapping[str, Any]:
    """Return the verdict so far of a bisection that is running, with all its aspects."""
    subject = next(progress for progress in tracks if progress.track.name == SUBJECT)
    said, _ = _said(case, bisection_id, subject, tracks, RUNNING)
    return said


def _said(
    case: Case, bisection_id: str, subject: Progress, tracks: Sequence[Progress], ending: Ending | Running
) -> tuple[dict[str, Any], Progress]:
    """Return the verdict in JSON, and the track that it shows first: the leading aspect, if there are several."""
    stories = stories_of(subject, [progress for progress in tracks if progress.track.is_aspect])
    if subject.search is None or not stories:
        return _verdict_json(case, bisection_id, subject, subject.verdict, ending), subject
    first = leading(stories)
    said = _verdict_json(case, bisection_id, first.progress, first.verdict, ending)
    summary, notes = summary_of(stories, case.tree, first), [*notes_of_runs(subject), *notes_of(stories, subject)]
    return {
        **said,
        "kind": "changes" if any(story.changes for story in stories) else said["kind"],
        "probe": {"name": case.probe.name, "digest": case.probe.digest},
        "summary": summary,
        "notes": notes,
        "words": " ".join([summary, *notes, said["coverage"]["statement"]]),
        "leading": first.name,
        "aspects": [story.to_json() for story in stories],
        "changes": [{**change, "aspect": first.name} for change in said["changes"]],
    }, first.progress


def _additions_json(case: Case, gaps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the packages beside the release: who asked for each, and how many releases it made untestable."""
    cost = Counter(name for gap in gaps for name in not_addable(str(gap["reason"])))
    return [
        {"requirement": each.requirement, "from": each.origin, "untestable": cost[each.requirement]}
        for each in case.additions
    ]


def _compared(subject: Progress, tracks: Sequence[Progress]) -> Verdict:
    """Return the verdict to compare variants with: from the snippet's track with the same question."""
    return next((progress.verdict for progress in tracks if progress.track.is_aspect), subject.verdict)


def _variant_json(
    case: Case, bisection_id: str, subject: Verdict, progress: Progress, status: Ending
) -> dict[str, Any]:
    """Return a variant's JSON: its verdict, and the comparison with the snippet."""
    name = progress.track.name
    verdict = progress.verdict
    comparison = compare_variant(name, subject, verdict)
    advice = cure_in_words(name) if name in VARIANTS else ""
    return {
        "name": name,
        "effect": comparison.effect,
        "wrong": list(comparison.wrong),
        "words": in_words(comparison, verdict, advice),
        "verdict": _verdict_json(case, bisection_id, progress, verdict, status),
    }


def no_verdict(verdict: Verdict, progress: Progress) -> TfbisectError | None:
    """Return why there is no verdict, or None if there is one."""
    if fault := snippet_fault(verdict, progress.reports, progress.track.snippet):
        return fault
    if isinstance(verdict, NothingTestable):
        return NoAnswer(words.sentence(words.why_nothing(verdict)) + _reasons(verdict))
    return None


def _reasons(verdict: NothingTestable) -> str:
    """List each reason once, with its number of releases."""
    counted = Counter(gap.reason for gap in verdict.gaps)
    return "".join(f" {number} of {len(verdict.gaps)}: {reason}" for reason, number in counted.most_common(3))


def _verdict_json(
    case: Case, bisection_id: str, progress: Progress, verdict: Verdict, status: Ending | Running
) -> dict[str, Any]:
    facts = VerdictFacts(
        id=bisection_id,
        status=status,
        package=case.request.package,
        hardware=case.request.hardware,
        runner="+".join(sorted(progress.runners)) or "none",
        probe=progress.track.probe.name,
        probe_digest=progress.track.probe.digest,
        snippet_digest=text_digest(progress.track.snippet),
        executed=progress.executed,
        reused=progress.reused,
        lost=progress.lost,
        absent=case.absent,
    )
    said = to_json(verdict, facts)
    changes = _with_commands(said, case, progress)
    notes = notes_of_runs(progress)
    return {**said, "changes": changes, "details": _details(case, progress, verdict), "notes": notes}


def _details(case: Case, progress: Progress, verdict: Verdict) -> list[dict[str, str]]:
    """Explain each outcome whose label alone is not enough, such as a digest, by the oldest release that has it."""
    stated = {segment.outcome for segment in verdict.segments} - progress.track.probe.outcomes.keys()
    together = read_together(progress.answers)
    found: dict[str, dict[str, str]] = {}
    for release in case.tree.all():
        for answer in together.get(release, ()):
            if isinstance(answer, Outcome) and answer.label in stated and answer.detail:
                found.setdefault(answer.label, {"release": release, "detail": answer.detail})
    return [{"outcome": label, **said} for label, said in found.items()]


def _with_commands(said: Mapping[str, Any], case: Case, progress: Progress) -> list[dict[str, Any]]:
    """Return the changes in JSON, each with what else differs, and the commands that reproduce both sides."""
    track = progress.track
    request = {**case.request.model_dump(mode="json"), "probe": track.probe.name}
    reports = progress.reports
    variant = "" if track.is_aspect else track.name
    return [
        {
            **change,
            "environment": _environment_json(reports.get(change["before"]), reports.get(change["after"]), case),
            "reproduce": {
                side: reproduce_command(request, change[side], variant=variant) for side in ("before", "after")
            },
        }
        for change in said["changes"]
    ]


def _environment_json(before: RunReport | None, after: RunReport | None, case: Case) -> list[dict[str, str]]:
    """Return what differs between the environments of two runs beside the package, the interpreter first."""
    if before is None or after is None:
        return []
    return [asdict(part) for part in between(before, after, case.request.package).parts]


def problem(error: TfbisectError) -> dict[str, Any]:
    """Return an error as stored JSON."""
    return {
        "type": type(error).__name__,
        "title": error.title,
        "detail": error.message,
        "field": error.field,
        "line": error.line,
        "traceback": error.traceback,
        "exit_code": error.exit_code,
    }

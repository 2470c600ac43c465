"""Answers and verdicts in words: one line, a paragraph, and what was and was not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from service.bisection.bridges import PYTHON
from service.bisection.companions import family_of
from service.bisection.outcomes import Answer, Lost, Outcome, Refused, Untestable, is_failure
from service.bisection.releases import MAINLINE
from service.bisection.verdict import (
    Change,
    ChangeCause,
    Changes,
    Coverage,
    Flaky,
    NothingTestable,
    Share,
    Unchanged,
    Unfixed,
    Verdict,
    VersionDifference,
    change_of,
)

QUOTED_CHARACTERS = 120
ORIGINS: Mapping[str, str] = {"block": " (named in the script)", "import": " (imported)"}
"""Who asked for an addition, where it was not the request."""
UNLIKELY = 0.5  # Below it, the likeliest explanation has no change there.
LABEL_LETTERS = 60
Form = Literal["long", "row", "short"]
"""How much space there is: a sentence, a row under its release, a flag or headline."""
NEUTRAL: Mapping[tuple[str, str], str] = {
    ("does-not-match", "matches"): "starts to match",
    ("matches", "does-not-match"): "stops matching",
}
PINNED = "in {after}"
OPEN: Mapping[Form, str] = {
    "long": "between {before} and {after}, not yet narrowed down",
    "row": "by {after}",
    "short": "by {after}",
}
IN_A_GAP: Mapping[Form, str] = {
    "long": "after {before} and in {after} at the latest ({untestable} untestable)",
    "row": "in {after} at the latest: {untestable} untestable",
    "short": "in {first} to {after}",
}
PASSED_OVER: Mapping[Form, str] = {
    "long": "between {before} and {after} ({not_asked} not asked)",
    "row": "by {after}: {not_asked} not asked",
    "short": "by {after}",
}
"""A change next to untestable releases is reported as a range: no form blames one of them."""
LISTED = 6  # Longer lists of releases are cut to keep sentences readable; tables have them all.


def answer_text(answer: Answer) -> str:
    """Return an answer in a word or two."""
    match answer:
        case Outcome(label=label):
            return label
        case Untestable(reason=reason):
            return f"untestable: {reason}"
        case Refused(message=message):
            return f"refused: {message}"
        case Lost(reason=reason):
            return f"lost: {reason}"


def one_line(verdict: Verdict) -> str:
    match verdict:
        case Changes():
            parts = [*map(change_phrase, verdict.changes), *map(unfixed_phrase, verdict.unfixed)]
            return sentence("; ".join(parts))
        case Unchanged():
            return _unchanged_line(verdict)
        case NothingTestable():
            return f"No verdict: {why_nothing(verdict)}."


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 release, 3 releases; `many` if the plural is not `one` with an s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def paragraph(verdict: Verdict) -> str:
    """Return a verdict as a paragraph: what changed, what is uncertain, what was measured."""
    sentences = _changes_sentences(verdict) if isinstance(verdict, Changes) else [one_line(verdict)]
    sentences += [_flaky_sentence(flaky) for flaky in verdict.flaky]
    sentences += [_gaps_sentence(verdict)] if verdict.gaps else []
    return " ".join([*sentences, verdict.coverage.statement]).strip()


def change_phrase(change: Change) -> str:
    where = "" if change.line == MAINLINE else f"on branch {change.line} "
    became = "" if _is_told(change) else f": {label_in_short(change.old)} became {label_in_short(change.new)}"
    return f"{where}{change_word(change)} {place_of(change, 'long')}{became}"


def change_with_releases(change: Change) -> str:
    """Describe a change with the measured releases on both sides: for messages, which come without a timeline."""
    where = "" if change.line == MAINLINE else f" on branch {change.line}"
    sides = f"{change.old} in {change.before}, {change.new} in {change.after}"
    return f"{change_word(change)} {place_of(change, 'long')}{where}: {sides}"


def change_in_short(change: Change) -> str:
    """Describe a change in a few words: "introduced in 1.11.0"."""
    return f"{change_word(change)} {place_of(change, 'short')}"


def change_word(change: Change) -> str:
    """Return the verb of a change: what is neither right nor wrong is said by what happens."""
    return NEUTRAL[change.old, change.new] if _is_told(change) else change.kind


def _is_told(change: Change) -> bool:
    return change.kind == "changed" and (change.old, change.new) in NEUTRAL


def label_in_short(outcome: str) -> str:
    """Return a label short enough for a sentence; the segments have the full one."""
    # The exception's name is the most informative part, and its message may be a paragraph.
    name = outcome.partition(": ")[0] if outcome.startswith("raises:") else outcome
    return name if len(name) <= LABEL_LETTERS else f"{name[: LABEL_LETTERS - 1]}…"


def unfixed_phrase(branch: Unfixed) -> str:
    return f"the {branch.line} patch releases up to {branch.last} never got the fix"


def place_of(change: Change, form: Form) -> str:
    """Describe where a change is: at one release, in a range of untestable releases, or not yet narrowed down."""
    text = _form_of(change, form)
    first = next(iter(change.between), "")
    untestable, not_asked = named(change.between), named(change.not_asked)
    said = text.format(
        before=change.before, after=change.after, first=first, untestable=untestable, not_asked=not_asked
    )
    if change.cause is not None and change.cause.named:
        return _with_cause(change, change.cause, said, form)
    beside = f" ({named(change.yanked).rstrip(',')}, yanked, not asked)" if change.yanked and form == "long" else ""
    return said + beside


def _with_cause(change: Change, cause: ChangeCause, place: str, form: Form) -> str:
    """Say what came along and is to blame, in place of the release; or, after the place, that nobody knows."""
    moved = named([version_step(each) for each in cause.named]).rstrip(",")
    if cause.axis == "unknown":
        reason = f": {cause.reason}" if cause.reason else ""
        return place if form != "long" else f"{place} (or with {moved}{reason})"
    if form != "long":
        return f"with {moved}"
    alike = f" ({cause.alike} itself behaves in both ways)" if cause.alike else ""
    return f"with {moved}, which came along with {change.after}{alike}"


def version_step(difference: VersionDifference) -> str:
    """Say how a package differs: "numpy 1.26.4 to 2.1.1"."""
    if not difference.before:
        return f"{difference.name} {difference.after} (absent before)"
    if not difference.after:
        return f"{difference.name} {difference.before} (absent from then on)"
    return f"{'Python' if difference.name == PYTHON else difference.name} {difference.before} to {difference.after}"


def environments_in_words(verdict: Mapping[str, Any]) -> str:
    """Say which packages differ between the sides of the changes whose cause was not looked into.

    Args:
        verdict: as JSON.
    """
    told = {
        (change["before"], change["after"]): [
            version_step(VersionDifference(each["name"], each["before"], each["after"]))
            for each in change["environment"]
        ]
        for change in verdict.get("changes", ())
        if change.get("environment") and not change.get("cause")
    }
    return " ".join(
        f"Packages that differ, {before} to {after}: {', '.join(steps)}." for (before, after), steps in told.items()
    )


def confidences_in_words(verdict: Mapping[str, Any]) -> str:
    """Say how sure each change is; "" where nothing is known of it."""
    sure = (
        f"{percent(change['confidence'])} ({change_in_short(change_of(change))})"
        for change in verdict.get("changes", ())
        if change.get("confidence") is not None
    )
    said = ", ".join(sure)
    return f"Confidence: {said}." if said else ""


def causes_in_words(changes: Iterable[Change]) -> list[str]:
    """Say of each change what differs beside the package, and what runs have shown of it; each sentence once."""
    return list(dict.fromkeys(_cause_sentence(change, change.cause) for change in changes if change.cause is not None))


def _cause_sentence(change: Change, cause: ChangeCause) -> str:
    place = f"{change.before} to {change.after}"
    if not cause.differs:
        return f"{place}: nothing else differs between the two environments."
    shown = {each.name for each in cause.named}
    family = family_of(cause.differs, change.before, change.after)
    rest = ", ".join(version_step(each) for each in cause.differs if each.name not in shown | family)
    named_ones = ", ".join(version_step(each) for each in cause.named)
    runs = f" ({counted(cause.runs, 'run')} with versions of both sides)" if cause.runs else ""
    match cause.axis:
        case "release":
            relatives = ", ".join(version_step(each) for each in cause.differs if each.name in family)
            parts = f", with what is numbered like it: {relatives}" if relatives else ""
            ruled_out = f"; not {rest}" if rest else ""
            return f"{place}: the release itself{parts}{ruled_out}{runs}."
        case "unknown":
            ruled_out = f"; ruled out: {rest}" if rest else ""
            return f"{place}: the release or {named_ones}: {cause.reason or 'unknown'}{ruled_out}{runs}."
        case _:
            together = f", {cause.reason}" if cause.reason else ""
            ruled_out = f"; not {rest}" if rest else ""
            return f"{place}: {named_ones}{together}{ruled_out}{runs}."


def _form_of(change: Change, form: Form) -> str:
    """Choose the wording for a place by what keeps it from being one release."""
    if change.unasked:
        return OPEN[form]
    if change.not_asked:
        return PASSED_OVER[form]
    return IN_A_GAP[form] if change.between else PINNED


def named(releases: Sequence[str]) -> str:
    """List releases for a sentence; the middle of a long list is cut."""
    if len(releases) > LISTED:
        return f"{releases[0]} to {releases[-1]}, {counted(len(releases), 'release')},"
    if len(releases) <= 1:
        return "".join(releases)
    return f"{', '.join(releases[:-1])} and {releases[-1]}"


def by_reason(gaps: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the untestable releases by reason, so that each reason is given once."""
    found: dict[str, list[str]] = {}
    for gap in gaps:
        found.setdefault(gap["reason"], []).append(gap["release"])
    return found


def sentence(text: str) -> str:
    """Begin with a capital and end with a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def _unchanged_line(verdict: Unchanged) -> str:
    """Say that nothing changed, and how far that goes."""
    coverage = verdict.coverage
    if coverage.measured == 1:
        return f"{verdict.outcome} in {verdict.segments[0].first}, the only release that was measured."
    ends = verdict.segments[0]
    span = f"{ends.first} to {ends.last}"
    if coverage.measured == coverage.considered:
        text = f"No change from {span}: {verdict.outcome} in all {coverage.measured} releases measured."
    else:
        # A release that was not measured may hide a change, if only in a patch release: this is no proof.
        found = f"No change found in the {coverage.measured} of {coverage.considered} releases measured"
        text = f"{found}, {span}: {verdict.outcome} in all of them."
    if is_failure(verdict.outcome):
        text += " The same failure everywhere points to the snippet rather than to a release."
    return text


def why_nothing(verdict: NothingTestable) -> str:
    """Say why there is no verdict, without an initial capital and a full stop."""
    refused = [gap for gap in verdict.gaps if gap.kind == "refused"]
    lost = [gap for gap in verdict.gaps if gap.kind == "lost"]
    if refused:
        return f"the snippet was refused ({refused[0].reason})"
    if not verdict.gaps:
        return "no release was measured yet"
    if len(lost) == len(verdict.gaps):
        return f"every run failed for infrastructure reasons ({lost[0].reason}); this says nothing about the releases"
    first = verdict.gaps[0]
    tried = "the one release" if len(verdict.gaps) == 1 else f"none of the {len(verdict.gaps)} releases"
    can = "cannot" if len(verdict.gaps) == 1 else "can"
    return f"{tried} tried {can} be tested ({first.release}: {first.reason})"


def _changes_sentences(verdict: Changes) -> list[str]:
    """Describe each change in a sentence, then the branches that never got a fix."""
    mainline = [segment for segment in verdict.segments if segment.line == MAINLINE]
    start = f"{mainline[0].first} {_shows(mainline[0].outcome)}." if mainline else ""
    sentences = [sentence(change_phrase(change) + _doubt(change)) for change in verdict.changes]
    return [start, *sentences, *(sentence(unfixed_phrase(branch)) for branch in verdict.unfixed)]


def _shows(outcome: str) -> str:
    return f"shows {outcome}"


def _doubt(change: Change) -> str:
    if change.unasked:
        return ""
    if not change.confirmed:
        return " (not confirmed by a second run on both sides)"
    if change.confidence is None:
        return ""
    if change.confidence < UNLIKELY:
        return f" (in doubt: the answers are as well explained without it; confidence {percent(change.confidence)})"
    return f" (confidence {percent(change.confidence)})"


def percent(share: float) -> str:
    """Return a share in percent with one decimal, rounded down."""
    return f"{int(share * 1000) / 10:g} %"


def _flaky_sentence(flaky: Flaky) -> str:
    shares = ", ".join(
        f"{share.outcome} in {share.runs} of {flaky.runs} runs ({share.low:.0%} to {share.high:.0%}){_saying(share)}"
        for share in flaky.shares
    )
    return f"{flaky.release} is unstable: {shares}."


def _saying(share: Share) -> str:
    """Quote the message of a failed run; for a success the label is enough."""
    said = share.detail.strip().partition("\n")[0]
    return f" saying “{said[:QUOTED_CHARACTERS]}”" if said and is_failure(share.outcome) else ""


def _gaps_sentence(verdict: Verdict) -> str:
    count = len(verdict.gaps)
    releases = [gap.release for gap in verdict.gaps]
    are = "is" if count == 1 else "are"
    reason = f" ({verdict.gaps[0].reason})" if len({gap.reason for gap in verdict.gaps}) == 1 else ""
    return f"{named(releases)} {are} untestable{reason}." if count else ""


def additions_in_words(additions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which packages stood beside each release, and how many releases each of them made untestable.

    Args:
        additions: as in the JSON of a verdict.
    """
    if not additions:
        return []
    by_origin: dict[str, list[str]] = {}
    for each in additions:
        by_origin.setdefault(ORIGINS.get(str(each["from"]), ""), []).append(str(each["requirement"]))
    said = "; ".join(f"{', '.join(names)}{origin}" for origin, names in by_origin.items())
    cost = (
        f"{each['requirement']} made {counted(each['untestable'], 'release')} untestable."
        for each in additions
        if each["untestable"]
    )
    return [f"Beside each release: {said}.", *cost]


def coverage_statement(verdict: Verdict) -> str:
    """Say in plain language what was measured and inferred, and what could be missed."""
    coverage = verdict.coverage
    if not coverage.considered:
        return "There was no release to look at."
    parts = (_looked_at(coverage), _promise(verdict), _left_alone(coverage), _passed_over(coverage))
    return " ".join(part for part in parts if part)


def _promise(verdict: Verdict) -> str:
    """Say what could still be missed."""
    coverage = verdict.coverage
    if not coverage.complete:
        return f"This is not finished: {named(coverage.open)} still to be run."
    if isinstance(verdict, NothingTestable) or coverage.measured == coverage.considered:
        return ""
    if coverage.resolution > 1:
        return (
            f"Every behaviour that lasts {coverage.resolution} or more mainline releases is found; "
            "a shorter one could hide among the releases that were inferred."
        )
    return "Every mainline release was tried; a behaviour of patch releases alone could hide among the inferred ones."


def _left_alone(coverage: Coverage) -> str:
    """Say why releases were not run."""
    if not coverage.unexamined or not coverage.complete:
        return ""
    branches = "patch releases beside no change" if coverage.branches == "tips" else "patch releases"
    return f"Those not run are {branches if coverage.branches != 'all' else 'releases'} or lie beyond a gap."


def _passed_over(coverage: Coverage) -> str:
    """Say which releases the request's list left out."""
    return f"Not asked: {named(coverage.not_asked).rstrip(',')}." if coverage.not_asked else ""


def _looked_at(coverage: Coverage) -> str:
    """Count the releases that were measured, inferred and not run."""
    if coverage.measured == coverage.considered:
        if coverage.considered == 1:
            return f"The only release, {coverage.first}, was measured."
        return f"Each of the {coverage.considered} releases from {coverage.first} to {coverage.last} was measured."
    counts = [
        (coverage.measured, "measured"),
        (coverage.inferred, "inferred from neighbours that agree"),
        (coverage.untestable, "untestable"),
        (coverage.unexamined, "not run"),
    ]
    if coverage.considered == 1:
        return f"The only release, {coverage.first}, is {next(what for count, what in counts if count)}."
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"Of {coverage.considered} releases from {coverage.first} to {coverage.last}: {said}."

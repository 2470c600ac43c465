from __future__ import annotations

from typing import Any

import pytest

from service.nightly.nights import (
    News,
    Row,
    SeenRelease,
    Summary,
    VerdictDifference,
    blind_nights,
    difference,
    difference_words,
    due_again,
    is_blind,
    must_be_told,
    news,
    status_of,
)

OLD = {"1.0": SeenRelease(environment="e"), "1.1": SeenRelease()}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({}, News()),
        ({"1.2": SeenRelease()}, News(appeared=("1.2",))),
        ({"1.1": SeenRelease(yanked=True)}, News(yanked=("1.1",))),
        ({"1.1": SeenRelease(gone=True)}, News()),
        ({"1.0": SeenRelease(environment="f")}, News(rebuilt=("1.0",))),
        ({"1.1": SeenRelease(environment="f")}, News()),
        ({"1.0": SeenRelease(environment="")}, News()),
    ],
)
def test_news_is_what_a_watch_has_not_seen(now: dict[str, SeenRelease], expected: News) -> None:
    assert news(OLD, {**OLD, **now}) == expected


def change(after: str, old: str = "drops", new: str = "never-drops", before: str = "1.0") -> dict[str, Any]:
    return {"line": "mainline", "kind": "introduced", "before": before, "after": after, "old": old, "new": new}


def verdict(*changes: dict[str, Any], now: str = "drops", measured: tuple[str, ...] = ("1.0",)) -> dict[str, Any]:
    return {"changes": changes, "segments": [{"line": "mainline", "outcome": now, "measured": measured}]}


ALL = ("1.0", "1.1", "1.2")


@pytest.mark.parametrize(
    ("before", "now", "considered", "appeared", "vanished"),
    [
        (verdict(), verdict(), ALL, 0, 0),
        (verdict(), verdict(change("1.1")), ALL, 1, 0),
        (verdict(change("1.1")), verdict(), ALL, 0, 1),
        (verdict(change("1.1")), verdict(), ("1.1", "1.2"), 0, 0),
        (verdict(change("1.1")), verdict(change("1.2")), ALL, 1, 1),
        (verdict(change("1.1")), verdict(change("1.2")), ("1.0", "1.2"), 0, 0),
        (verdict(change("1.1")), verdict({**change("1.1"), "confidence": 0.5}), ALL, 0, 0),
    ],
)
def test_a_difference_is_a_change_that_came_or_went_in_sight(
    before: dict[str, Any], now: dict[str, Any], considered: tuple[str, ...], appeared: int, vanished: int
) -> None:
    found = difference(before, now, considered)
    assert (len(found.appeared), len(found.vanished)) == (appeared, vanished)


def of_aspects(leading: str, **aspects: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict on several aspects; at the top it says what the leading one does."""
    listed = [{"name": name, "drifts": False, **said} for name, said in aspects.items()]
    return {**aspects[leading], "leading": leading, "aspects": listed}


ALIKE = verdict(now="as in 1.0")
QUIET = of_aspects("ends", ends=verdict(now="passes"), prints=ALIKE)
PRINTS = change("1.1", "as in 1.0", "as in 1.1")


def test_each_aspect_is_compared_with_itself_whichever_leads() -> None:
    printing = of_aspects("prints", ends=verdict(now="passes"), prints=verdict(PRINTS, now="as in 1.1"))
    found = difference(QUIET, printing, ALL)
    assert (found.vanished, found.outcome_before, found.outcome_now) == ((), "", "")
    assert difference_words(found) == "prints: introduced in 1.1"
    assert not difference(printing, printing, ALL)
    drifting = {**printing, "aspects": [{**each, "drifts": True} for each in printing["aspects"]]}
    assert not difference(drifting, {**drifting, "aspects": QUIET["aspects"]}, ALL)


def test_a_behaviour_that_is_named_after_its_first_release_may_get_another_name() -> None:
    before = of_aspects("prints", prints=verdict(change("1.2", "as in 1.0", "as in 1.2", before="1.1")))
    now = of_aspects("prints", prints=verdict(change("1.2", "as in 1.1", "as in 1.2", before="1.1")))
    assert not difference(before, now, ("1.1", "1.2"))


def test_another_ending_of_the_newest_release_is_told_with_the_aspects_name() -> None:
    raising = of_aspects("ends", ends=verdict(now="raises:ValueError"), prints=ALIKE)
    found = difference(QUIET, raising, ALL)
    assert (found.outcome_before, found.outcome_now) == ("ends: passes", "ends: raises:ValueError")


def test_a_release_that_any_aspect_measured_does_not_make_a_night_blind() -> None:
    seen = of_aspects("prints", ends=verdict(now="passes", measured=("1.0", "1.1")), prints=ALIKE)
    assert (is_blind(seen, "1.1"), is_blind(seen, "1.2")) == (False, True)


def test_another_answer_of_the_newest_release_is_a_difference() -> None:
    assert difference(verdict(), verdict(now="never-drops"), ALL)


@pytest.mark.parametrize(
    ("before", "found", "blind", "expected"),
    [
        (None, None, False, "first"),
        (None, None, True, "blind"),
        (verdict(), VerdictDifference(), False, "unchanged"),
        (verdict(), VerdictDifference(), True, "blind"),
        (verdict(), VerdictDifference(appeared=(change("1.1"),)), False, "changed"),
        (verdict(), VerdictDifference(appeared=(change("1.1"),)), True, "changed"),
        (verdict(), VerdictDifference(outcome_before="drops"), True, "blind"),
        (verdict(), VerdictDifference(outcome_before="drops", outcome_now="never-drops"), False, "changed"),
    ],
)
def test_the_status_of_a_night(
    before: dict[str, Any] | None, found: VerdictDifference | None, blind: bool, expected: str
) -> None:
    assert status_of(before, found, blind=blind) == expected


@pytest.mark.parametrize(
    ("statuses", "nights"),
    [([], 0), (["unchanged", "blind"], 0), (["blind", "failed", "unchanged", "blind"], 2), (["blind"], 1)],
)
def test_blind_nights_are_counted_from_the_newest(statuses: list[str], nights: int) -> None:
    assert blind_nights(statuses) == nights


@pytest.mark.parametrize(
    ("status", "before", "expected"),
    [
        ("changed", [], "changed"),
        ("unchanged", ["blind", "blind"], None),
        ("blind", ["blind"], None),
        ("blind", ["failed", "blind"], "blind"),
        ("blind", ["blind", "blind", "blind"], None),
        ("first", [], None),
    ],
)
def test_a_message_goes_out_once(status: Any, before: list[str], expected: str | None) -> None:
    assert must_be_told(status, before, 3) == expected


@pytest.mark.parametrize(
    ("last", "found", "due"),
    [
        (None, News(), True),
        ("unchanged", News(), False),
        ("changed", News(), False),
        ("blind", News(), True),
        ("failed", News(), True),
        ("unchanged", News(appeared=("1.2",)), True),
    ],
)
def test_a_watch_runs_when_something_is_new_or_unanswered(last: str | None, found: News, due: bool) -> None:
    assert due_again(last, found) is due


def test_a_newest_release_that_was_not_measured_makes_a_night_blind() -> None:
    assert is_blind(verdict(), "1.1")
    assert not is_blind(verdict(measured=("1.0", "1.1")), "1.1")
    assert is_blind({}, "1.1")


@pytest.mark.parametrize(
    ("statuses", "code"),
    [([], 0), (["unchanged", "blind", "first"], 0), (["failed"], 3), (["failed", "changed"], 10)],
)
def test_the_exit_code_says_whether_a_verdict_changed(statuses: list[str], code: int) -> None:
    assert Summary("p", tuple(Row("w", "tensorflow", status) for status in statuses)).exit_code == code

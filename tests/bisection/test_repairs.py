from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.bisection.repairs import Repair, Tried, repaired

RUNS = Tried("", "")


def search(
    shown: Mapping[str, Tried], edits: Mapping[str, Sequence[str]], start: str = "script", most_tries: int = 16
) -> tuple[Repair, list[str]]:
    """Search in a world: what each script shows, and the edits of each, which are named after what they lead to."""
    asked: list[str] = []

    def attempt(source: str) -> Tried:
        asked.append(source)
        return shown[source]

    def following(source: str, _said: str) -> list[tuple[str, str]]:
        return [(f"to {edited}", edited) for edited in edits.get(source, ())]

    return repaired(start, "first", following, attempt, most_tries), asked


def test_the_first_edit_that_runs_on_both_sides_is_taken() -> None:
    found, asked = search({"a": Tried("", "first"), "b": RUNS, "c": RUNS}, {"script": ["a", "b", "c"]})
    assert found == Repair(("to b",), "b", 2)
    assert asked == ["a", "b"]


def test_what_raises_something_else_later_is_edited_again() -> None:
    shown = {"session": Tried("", "second"), "graph": RUNS}
    found, _ = search(shown, {"script": ["session"], "session": ["graph"]})
    assert found.titles == ("to session", "to graph")


def test_an_edit_that_breaks_the_other_release_is_no_way_on() -> None:
    shown = {"new": Tried("gone", "second")}
    found, asked = search(shown, {"script": ["new"], "new": ["further"]})
    assert not found.found
    assert asked == ["new"]


def test_an_edit_for_one_release_only_is_told_and_not_offered() -> None:
    found, _ = search({"new": Tried("gone", "")}, {"script": ["new"]})
    assert (found.found, found.partial) == (False, ("to new",))


def test_no_script_is_tried_twice_and_a_circle_ends() -> None:
    shown = {"a": Tried("", "second")}
    found, asked = search(shown, {"script": ["a"], "a": ["script", "a"]})
    assert not found.found
    assert asked == ["a"]


def test_the_number_of_tries_is_kept() -> None:
    names = [f"edit {number}" for number in range(50)]
    found, asked = search(dict.fromkeys(names, Tried("", "first")), {"script": names}, most_tries=7)
    assert (found.tries, len(asked)) == (7, 7)

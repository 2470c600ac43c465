"""Printed lines are aligned between runs: one inserted line is one difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import pytest

from service.bisection.alignment import aligned
from service.bisection.facts import Facts
from service.bisection.matching import ALL_CELLS, Cells, Texts, align
from service.bisection.outcomes import Value
from service.bisection.samples import Sampling
from service.bisection.telling import side_by_side

NUMBER = re.compile(r"\d+(?:\.\d+)?")


def printed(text: str) -> Facts:
    """Return the facts of a text: each line's words, and its numbers."""
    fields: list[tuple[str, Value]] = []
    for at, line in enumerate(text.split("\n"), start=1):
        fields.append((f"line {at}", NUMBER.sub("{}", line)))
        fields += [(f"line {at}, number {n}", float(each)) for n, each in enumerate(NUMBER.findall(line), start=1)]
    return Facts(tuple(fields), in_lines=True)


def differing(*releases: Sequence[str] | str) -> tuple[str, ...]:
    """Return the fields that differ between the last two releases; a text alone was printed by both of two runs."""
    texts = [[each] * 2 if isinstance(each, str) else each for each in releases]
    sampling = Sampling({str(at): [printed(text) for text in several] for at, several in enumerate(texts, start=1)})
    return sampling.differing(str(len(texts) - 1), str(len(texts)))


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ("a\nb\nc", "a\nb\nc", ()),
        ("a\nb\nc", "new\na\nb\nc", ("line 1 of 2",)),
        ("a\nb\nc", "a\nb\nc\nnew", ("line 4 of 2",)),
        ("a\nb\nc\nd", "a\nc\nd", ("line 2",)),
        ("a\nb\nc", "a\nx\nc", ("line 2",)),
        ("a\nb\nc", "new\na\nb\nx", ("line 1 of 2", "line 3")),
        # The numbers say which of the lines with the same words is new.
        ("1\n2\n3", "1\n9\n2\n3", ("line 2 of 2", "line 2 of 2, number 1")),
        ("loss 0.5\nloss 0.4\nend", "hello\nloss 0.5\nloss 0.3\nend", ("line 1 of 2", "line 2, number 1")),
        # Of a changed line and a new one, the one with more words in common is the changed one.
        ("x\nthe loss is low", "x\nwelcome here\nthe loss is high", ("line 2 of 2", "line 2")),
    ],
)
def test_only_the_lines_that_differ_are_named(old: str, new: str, fields: tuple[str, ...]) -> None:
    assert differing(old, new) == fields


def test_a_new_line_above_numbers_that_vary_is_one_difference() -> None:
    old = ["\n".join(f"epoch {at} loss {at * seed / 7}" for at in range(1, 300)) for seed in (1, 2)]
    assert differing(old, [f"hello\n{text}" for text in old]) == ("line 1 of 2",)


def test_the_diff_shows_the_new_line_alone() -> None:
    sampling = Sampling({"1": [printed("a 1\nb 2")] * 2, "2": [printed("new\na 1\nb 2")] * 2})
    found = side_by_side(sampling, "1", "2")
    assert found is not None
    assert [line for line in found.diff.split("\n")[2:] if line[0] in "+-"] == ["+new"]


def test_what_was_inserted_and_removed_again_is_alike_before_and_after() -> None:
    texts = ["a\nb\nc", "new\na\nb\nc", "a\nb\nc"]
    sampling = Sampling({str(at): [printed(text)] * 2 for at, text in enumerate(texts)})
    assert sampling.groups == (("0", "2"), ("1",))


def early_stopping(dice: Random) -> str:
    epochs = dice.randint(2, 12)
    return "\n".join([*(f"epoch {at} loss {dice.random():.4f}" for at in range(epochs)), f"stopped after {epochs}"])


def shuffled(dice: Random) -> str:
    return "\n".join(dice.sample(["ant", "bee", "cat", "dog", "eel", "fox"], 6))


def some_of_them(dice: Random) -> str:
    return "\n".join(name for name in ("ant", "bee", "cat", "dog", "eel", "fox") if dice.random() < 0.5)


def drawn(dice: Random) -> str:
    return "\n".join(f"drew {dice.choice('abcdefgh')} of {dice.randint(1, 5)}" for _ in range(6))


@pytest.mark.parametrize("script", [early_stopping, shuffled, some_of_them, drawn])
def test_lines_that_come_and_go_by_chance_are_no_difference(script: Callable[[Random], str]) -> None:
    false = 0
    for seed in range(150):
        dice = Random(seed)
        runs = {str(at): [printed(script(dice)) for _ in range(4)] for at in range(6)}
        false += len(Sampling(runs).groups) > 1
    assert false <= 1


def test_more_lines_than_chance_prints_are_a_difference() -> None:
    old = ["\n".join(["epoch 1"] * count) for count in (2, 3, 4, 3)]
    new = ["\n".join(["epoch 1"] * count) for count in (22, 23, 21, 24)]
    assert differing(old, new) == ('lines like "epoch {}", number 1',)


MANY = 100_000


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        (["same"] * MANY, ["same"] * MANY, MANY),
        (["same"] * MANY, ["same"] * (MANY + 1), MANY),
        ([f"a{at}" for at in range(MANY)], [f"b{at}" for at in range(MANY)], MANY),  # as variants of each other
        ([f"a{at}" for at in range(MANY)], [f"a{at + 1}" for at in range(MANY)], MANY - 1),
        ([f"a{at % 7}" for at in range(MANY)], [f"a{at % 9}" for at in range(MANY)], MANY),
        ([f"a{at}" for at in range(MANY)], [f"a{at}" for at in reversed(range(MANY))], 1),
    ],
)
def test_hostile_texts_are_aligned_at_a_bounded_cost(old: list[str], new: list[str], pairs: int) -> None:
    compared = 0

    def equal(one: int, other: int) -> bool:
        nonlocal compared
        compared += 1
        return (one + other) % 3 == 0

    found = align(Texts([{line} for line in old], new, equal, lambda one, other: 0.0), Cells())
    assert len(found) >= pairs
    assert compared <= 2 * ALL_CELLS + 4 * MANY
    assert all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(found))


def test_runs_that_all_print_something_else_share_one_budget() -> None:
    runs = {
        str(at): [printed("\n".join(f"{Random(line * at).choice('abc')} {line % 5}" for line in range(900)))]
        for at in range(1, 30)
    }
    for several in aligned(runs).values():
        for facts in several:
            assert len(dict(facts.values)) == len(facts.values)

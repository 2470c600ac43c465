"""Aligns two texts line by line, at a bounded cost whatever they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

MOST_CELLS = 250_000
"""Of one table: a tenth of a second. Larger ones are divided at lines that are unique on both sides."""
ALL_CELLS = 1_000_000
"""Of all tables together; then lines are paired in order."""
GAP_CELLS = 2_500

Pair = tuple[int, int]
"""The index of a line in the old text, and of the same line in the new one."""
Alike = Callable[[int, int], bool]
Score = Callable[[int, int], float]
"""How well two lines match; 0: they do not."""
SAME_WORDS = 4.0
"""More than equal numbers add: the most matching lines count first."""


@dataclass(frozen=True)
class Texts:
    """Two texts to be aligned."""

    olds: Sequence[Set[str]]
    """The wordings of each line; a line of a merged text may have several."""
    news: Sequence[str]
    equal: Alike
    """Whether the numbers of two lines with the same words are equal."""
    shared: Score
    """The share of words that two lines have in common, 0 to 1."""

    def same_words(self, old: int, new: int) -> bool:
        return self.news[new] in self.olds[old]

    def exact(self, old: int, new: int) -> bool:
        return self.same_words(old, new) and self.equal(old, new)

    def match(self, old: int, new: int) -> float:
        return SAME_WORDS + self.equal(old, new) if self.same_words(old, new) else 0.0

    def variant(self, old: int, new: int) -> float:
        return 1 + self.shared(old, new)


@dataclass(frozen=True)
class Window:
    """A part of each text: from one index up to another, without it."""

    old: int
    old_end: int
    new: int
    new_end: int

    @property
    def sizes(self) -> Pair:
        return self.old_end - self.old, self.new_end - self.new

    @property
    def cells(self) -> int:
        return self.sizes[0] * self.sizes[1]

    def in_order(self) -> Iterator[Pair]:
        """Yield the first line with the first, the second with the second."""
        return zip(range(self.old, self.old_end), range(self.new, self.new_end), strict=False)


class Cells:
    """How many cells may still be computed."""

    def __init__(self, cells: int = ALL_CELLS) -> None:
        self._cells = cells

    def allows(self, window: Window, most: int = MOST_CELLS) -> bool:
        """Say whether a table is small enough, and count it."""
        allowed = window.cells <= min(most, self._cells)
        self._cells -= window.cells if allowed else 0
        return allowed


def align(texts: Texts, cells: Cells) -> list[Pair]:
    """Return the pairs of lines that are the same line: those with the same words, and variants between them."""
    whole = Window(0, len(texts.olds), 0, len(texts.news))
    pairs = sorted(_matched(whole, texts, cells))
    variants = (pair for gap in parts_between(whole, pairs) for pair in _variants(gap, texts, cells))
    return sorted([*pairs, *variants])


def _matched(whole: Window, texts: Texts, cells: Cells) -> list[Pair]:
    """Return the pairs with the same words, as many as possible with equal numbers."""
    window, pairs = trimmed(whole, texts.exact)
    if cells.allows(window):
        return [*pairs, *best_pairs(window, texts.match)]
    window, more = trimmed(window, texts.same_words)
    posts = anchors(window, texts)
    inner = (_in_part(part, texts, cells) for part in parts_between(window, posts))
    return [*pairs, *more, *posts, *(pair for part in inner for pair in part)]


def _in_part(part: Window, texts: Texts, cells: Cells) -> list[Pair]:
    """Return the pairs of a part; line by line if it is too large to be searched."""
    if cells.allows(part):
        return best_pairs(part, texts.match)
    return [pair for pair in part.in_order() if texts.same_words(*pair)]


def _variants(gap: Window, texts: Texts, cells: Cells) -> list[Pair]:
    """Pair lines with different words at the same place."""
    if gap.sizes[0] != gap.sizes[1] and cells.allows(gap, GAP_CELLS):
        return best_pairs(gap, texts.variant)
    return list(gap.in_order())


def trimmed(window: Window, alike: Alike) -> tuple[Window, list[Pair]]:
    """Return a window without the lines at both ends that are alike, and these."""
    old, old_end, new, new_end = window.old, window.old_end, window.new, window.new_end
    pairs = []
    while old < old_end and new < new_end and alike(old, new):
        pairs.append((old, new))
        old, new = old + 1, new + 1
    while old < old_end and new < new_end and alike(old_end - 1, new_end - 1):
        old_end, new_end = old_end - 1, new_end - 1
        pairs.append((old_end, new_end))
    return Window(old, old_end, new, new_end), pairs


def best_pairs(window: Window, score: Score) -> list[Pair]:
    """Return the pairs, in order on both sides, with the greatest sum of scores; of equal ones the first."""
    olds, news = range(window.old, window.old_end), range(window.new, window.new_end)
    best = [[0.0] * (len(news) + 1) for _ in range(len(olds) + 1)]
    for at in range(len(olds) - 1, -1, -1):
        row, below, old = best[at], best[at + 1], olds[at]
        for beside in range(len(news) - 1, -1, -1):
            row[beside] = max(below[beside], row[beside + 1], below[beside + 1] + score(old, news[beside]))
    pairs, at, beside = [], 0, 0
    while at < len(olds) and beside < len(news):
        worth = score(olds[at], news[beside])
        if worth and best[at][beside] == best[at + 1][beside + 1] + worth:
            pairs.append((olds[at], news[beside]))
            at, beside = at + 1, beside + 1
        elif best[at][beside] == best[at + 1][beside]:
            at += 1
        else:
            beside += 1
    return pairs


def anchors(window: Window, texts: Texts) -> list[Pair]:
    """Return the lines that are unique on both sides and in the same order there."""
    olds = _unique((words, at) for at in range(window.old, window.old_end) for words in texts.olds[at])
    news = _unique((texts.news[at], at) for at in range(window.new, window.new_end))
    return _increasing(sorted((at, news[words]) for words, at in olds.items() if words in news))


def _unique(lines: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the index of each line that occurs once."""
    found: dict[str, list[int]] = {}
    for words, at in lines:
        found.setdefault(words, []).append(at)
    return {words: places[0] for words, places in found.items() if len(places) == 1}


def _increasing(pairs: Sequence[Pair]) -> list[Pair]:
    """Return pairs that increase on both sides: each one that no earlier kept one has passed."""
    kept: list[Pair] = []
    for pair in pairs:
        if not kept or (pair[0] > kept[-1][0] and pair[1] > kept[-1][1]):
            kept.append(pair)
    return kept


def parts_between(window: Window, pairs: Sequence[Pair]) -> Iterator[Window]:
    """Yield the parts of a window before, between and after pairs."""
    posts = [(window.old - 1, window.new - 1), *pairs, (window.old_end, window.new_end)]
    for (old, new), (old_end, new_end) in pairwise(posts):
        yield Window(old + 1, old_end, new + 1, new_end)

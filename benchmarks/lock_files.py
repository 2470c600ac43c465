"""Which package between two lock files, side by side with published delta debugging: python -m benchmarks.lock_files.

Thousands of made-up pairs of locks: packages that need each other's versions, one or two whose upgrades change a
script, combinations that break by themselves. The baseline is ddmin (Zeller and Hildebrandt, 2002) over the packages
that differ, as whichdep and culpip have it: each combination is installed and run; one that cannot be installed is
unresolved, and costs the attempt. Both are judged by brute force. Writes lock_files.json and lock_files.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from statistics import mean, median

from service.bisection.upgrades import Behaviour, Combination, Upgrades, upgrades_behind

SIZES, CULPRITS = (4, 8, 12), (1, 2)
MOST_RUNS = 200
KEPT = 40
"""Results that are written one by one: the seed gives all of them again."""
SHARE_OF_NEEDS, SHARE_BROKEN = 0.3, 0.1
OURS, BASELINE = "tfbisect", "ddmin"


@dataclass
class Locks:
    """Two locks that differ, and a script."""

    parts: tuple[str, ...]
    culprit: frozenset[str]
    needs: dict[str, frozenset[str]]
    breaks: frozenset[frozenset[str]]
    """Pairs of which one alone breaks the script in a way of its own: (with, without)."""
    runs: int = 0
    refused: int = 0
    """Attempts to install what does not go together."""
    seen: dict[Combination, bool] = field(default_factory=dict)

    def goes(self, moved: Combination) -> bool:
        return all(self.needs.get(part, frozenset()) <= moved for part in moved)

    def shows(self, moved: Combination) -> Behaviour:
        self.runs += 1
        return self.behaviour(moved)

    def behaviour(self, moved: Combination) -> Behaviour:
        if any(len(pair & moved) == 1 for pair in self.breaks):
            return "other"
        return "new" if self.culprit <= moved else "old"

    def least(self) -> list[Combination]:
        """Return all smallest combinations that can be installed and show the new behaviour: brute force."""
        for size in range(len(self.parts) + 1):
            found = [frozenset(each) for each in combinations(self.parts, size)]
            shown = [each for each in found if self.goes(each) and self.behaviour(each) == "new"]
            if shown:
                return shown
        return []


@dataclass(frozen=True)
class Result:
    who: str
    packages: int
    culprits: int
    runs: int
    refused: int
    right: bool
    """What it names, with what had to come along, is a smallest combination that shows the new behaviour."""
    blameless: bool
    """And nothing is called a cause that is none."""


def worlds(rounds: int, seed: int) -> Iterator[Locks]:
    """Yield made-up pairs of locks; all of the old and all of the new can be installed."""
    random = Random(seed)
    for size in SIZES:
        for count in CULPRITS:
            for _ in range(rounds):
                parts = tuple(f"p{number}" for number in range(size))
                chosen = [part for part in parts if random.random() < SHARE_OF_NEEDS]
                needs = {part: frozenset(random.sample(parts, 1)) - {part} for part in chosen}
                broken = [pair for pair in pairwise(parts) if random.random() < SHARE_BROKEN]
                yield Locks(parts, frozenset(random.sample(parts, count)), needs, frozenset(map(frozenset, broken)))


def ours(locks: Locks) -> Result:
    found = upgrades_behind(locks.parts, locks.goes, locks.shows, MOST_RUNS)
    named = frozenset(found.packages) | frozenset(found.along) if isinstance(found, Upgrades) else frozenset()
    causes = frozenset(found.packages) if isinstance(found, Upgrades) else frozenset()
    return result(OURS, locks, named, causes)


def published(locks: Locks) -> Result:
    """Return what ddmin names: all packages that it cannot leave out."""

    def test(moved: Sequence[str]) -> Behaviour:
        combination = frozenset(moved)
        if combination in locks.seen:
            return "new" if locks.seen[combination] else "other"
        if not locks.goes(combination):
            locks.refused += 1
            shown: Behaviour = "cannot"
        else:
            shown = locks.shows(combination)
        locks.seen[combination] = shown == "new"
        return shown

    named = frozenset(ddmin(list(locks.parts), test))
    return result(BASELINE, locks, named, named)


def ddmin(items: list[str], test: object) -> list[str]:
    """Return a 1-minimal set that still shows the new behaviour: subsets first, then complements."""
    ask = test if callable(test) else None
    assert ask is not None
    parts = 2
    while len(items) >= 2:
        bounds = [len(items) * number // parts for number in range(parts + 1)]
        chunks = [items[first:last] for first, last in pairwise(bounds)]
        subset = next((chunk for chunk in chunks if ask(chunk) == "new"), None)
        if subset is not None:
            items, parts = subset, 2
            continue
        rests = ([one for one in items if one not in chunk] for chunk in chunks) if parts > 2 else iter(())
        rest = next((each for each in rests if ask(each) == "new"), None)
        if rest is not None:
            items, parts = rest, max(parts - 1, 2)
        elif parts < len(items):
            parts = min(len(items), parts * 2)
        else:
            break
    return items


def result(who: str, locks: Locks, named: frozenset[str], causes: frozenset[str]) -> Result:
    right = named in locks.least()
    return Result(
        who,
        len(locks.parts),
        len(locks.culprit),
        locks.runs,
        locks.refused,
        right,
        right and bool(causes <= useful(locks)),
    )


def useful(locks: Locks) -> frozenset[str]:
    """Return the packages without which nothing shows it: culprits, and those whose absence breaks them."""
    beside = {part for pair in locks.breaks if pair & locks.culprit for part in pair}
    grown = set(locks.culprit) | beside
    for _ in locks.parts:
        grown |= {part for pair in locks.breaks if pair & grown for part in pair}
    return frozenset(grown)


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the Markdown of all results."""
    yield "## Packages between two lock files"
    yield ""
    yield f"{len(results) // 2} made-up pairs of locks, judged by brute force. Runs: median, mean, most. Refused: mean"
    yield "attempts to install what does not go together (a resolver's second, where ours asks the resolver first)."
    yield ""
    yield "| packages | culprits | who | runs | refused | smallest set | no wrong blame |"
    yield "|---|---|---|---|---|---|---|"
    for size in SIZES:
        for count in CULPRITS:
            for who in (OURS, BASELINE):
                mine = [each for each in results if (each.packages, each.culprits, each.who) == (size, count, who)]
                runs = [each.runs for each in mine]
                shown = f"{median(runs):g}, {mean(runs):.1f}, {max(runs)}"
                shares = [mean(each.right for each in mine), mean(each.blameless for each in mine)]
                refused = mean(each.refused for each in mine)
                yield f"| {size} | {count} | {who} | {shown} | {refused:.1f} | {shares[0]:.1%} | {shares[1]:.1%} |"


def main() -> int:
    """Compare both; 1 where ours needs more runs in the median, or is right less often."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--seed", type=int, default=17)
    asked = options.parse_args()
    pairs = zip(worlds(asked.rounds, asked.seed), worlds(asked.rounds, asked.seed), strict=True)
    results = [each for one, other in pairs for each in (ours(one), published(other))]
    text = "\n".join(table(results)) + "\n"
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "lock_files.md").write_text(text, encoding="utf-8")
    kept = [{"seed": asked.seed, "pairs": len(results) // 2}, *(asdict(each) for each in results[:KEPT])]
    (folder / "lock_files.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(text)
    mine, theirs = ([each for each in results if each.who == who] for who in (OURS, BASELINE))
    cheaper = median(each.runs for each in mine) <= median(each.runs for each in theirs)
    return 0 if cheaper and mean(each.right for each in mine) >= mean(each.right for each in theirs) else 1


if __name__ == "__main__":
    sys.exit(main())

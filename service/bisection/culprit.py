"""Searches the definitions that a change comes from: which hypothesis to run next, or the finding. Pure.

A hypothesis is a set of changed definitions that get their old text in the new release. If the old behaviour is back,
the set holds the culprits, and the search shrinks it. Small sets mostly raise, since definitions that belong together
are torn apart: the search therefore begins with all of them, and never tries them one by one.

Source of the shrinking: QuickXplain (Junker, AAAI 2004), which needs 2k log2(n/k) + 2k tests for k of n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Effect = Literal["restored", "none", "another", "raises", "lost"]
"""What a hypothesis does: the old behaviour, no effect, a third behaviour, an error of its own, or no answer."""

Hypothesis = frozenset[str]
"""Ids of the definitions that get their old text; empty: a control, which must show the new behaviour."""
CONTROL: Hypothesis = frozenset()
BUDGET = 100
"""Hypotheses at most."""


@dataclass(frozen=True)
class HypothesisAnswer:
    """What one hypothesis showed."""

    effect: Effect
    blamed: str = ""
    """Of `raises`: the definition of the set that stands innermost in the traceback; "" if none does."""
    detail: str = ""


@dataclass(frozen=True)
class Culprits:
    """Definitions that, together, bring the old behaviour back."""

    definitions: tuple[str, ...]
    minimal: bool
    """Without any one of them the old behaviour is not back; False if the budget ended before that was known."""
    without: Mapping[str, Effect]
    """What the set does without each of them."""


@dataclass(frozen=True)
class Unresolved:
    """No set that was tried brings the old behaviour back."""

    reason: Literal["control", "nothing", "budget", "candidates", "unconfirmed"]
    """control: even without old text it is not the new behaviour; candidates: nothing that was executed changed;
    unconfirmed: another process does not show it."""
    left_out: tuple[str, ...] = ()
    """Definitions that could not have their old text without an error or a third behaviour."""


Finding = Culprits | Unresolved
Answers = Mapping[Hypothesis, HypothesisAnswer]


class _NextIsNeeded(Exception):
    def __init__(self, hypothesis: Hypothesis) -> None:
        self.hypothesis = hypothesis


class _Found(Exception):
    def __init__(self, definitions: Sequence[str]) -> None:
        self.definitions = tuple(definitions)


def next_hypothesis(groups: Sequence[Sequence[str]], seen: Answers, budget: int = BUDGET) -> Hypothesis | Finding:
    """Return the next hypothesis to run, or the finding.

    The same answers always give the same next hypothesis, so a search goes on from its stored runs.

    Args:
        groups: ids of the definitions, likeliest group first; a later group is tried together with those before it.
        seen: what was run so far.
        budget: hypotheses at most.
    """
    try:
        return _Search(seen).finding(groups)
    except _NextIsNeeded as needed:
        if len(seen) < budget:
            return needed.hypothesis
    restoring = [tried for tried, answer in seen.items() if answer.effect == "restored"]
    if not restoring:
        return Unresolved("budget")
    smallest = min(restoring, key=lambda tried: (len(tried), sorted(tried)))
    ordered = tuple(each for group in groups for each in group if each in smallest)
    return Culprits(ordered, False, _without(ordered, seen))


def _without(definitions: Sequence[str], seen: Answers) -> dict[str, Effect]:
    """Return what a set does without each of its members, as far as that was run."""
    whole = frozenset(definitions)
    return {each: seen[whole - {each}].effect for each in definitions if whole - {each} in seen}


class _Search:
    """One walk over the answers; stops at the first question that has none."""

    def __init__(self, seen: Answers) -> None:
        self._seen = seen

    def finding(self, groups: Sequence[Sequence[str]]) -> Finding:
        if not any(groups):
            return Unresolved("candidates")
        if self._ask(()).effect != "none":
            return Unresolved("control")
        pool: list[str] = []
        kept: list[str] = []
        for group in groups:
            if not group:
                continue
            pool += group
            try:
                kept = self._grown(kept, list(group))
                # Whoever raised may go once everything else has its old text.
                left = [each for each in pool if each not in kept]
                kept = self._grown(kept, left) if left else kept
            except _Found as found:
                return self._shrunk(found.definitions)
        return Unresolved("nothing", tuple(each for each in pool if each not in kept))

    def _ask(self, definitions: Sequence[str]) -> HypothesisAnswer:
        hypothesis = frozenset(definitions)
        if hypothesis not in self._seen:
            raise _NextIsNeeded(hypothesis)
        return self._seen[hypothesis]

    def _restores(self, definitions: Sequence[str]) -> bool:
        return self._ask(definitions).effect == "restored"

    def _grown(self, kept: list[str], group: list[str]) -> list[str]:
        """Return what can have its old text without another effect: as much of a group as goes with what is kept.

        Raises:
            _Found: the old behaviour is back.
        """
        while group:
            answer = self._ask([*kept, *group])
            if answer.effect == "restored":
                raise _Found([*kept, *group])
            if answer.effect == "none":
                return [*kept, *group]
            if answer.effect != "raises" or answer.blamed not in group:
                break
            group = [each for each in group if each != answer.blamed]
        if len(group) <= 1:
            return kept
        middle = len(group) // 2
        return self._grown(self._grown(kept, group[:middle]), group[middle:])

    def _shrunk(self, definitions: Sequence[str]) -> Culprits:
        """Return a smallest part of a restoring set that still restores."""
        found = self._explained((), definitions, asks=True)
        if not self._restores(found):
            # What restores is not monotone here: take away one by one from the set that does.
            found = list(definitions)
        for each in tuple(found):
            rest = [other for other in found if other != each]
            if self._restores(rest):
                found = rest
        ordered = tuple(each for each in definitions if each in found)
        # Taking one away may have made others superfluous.
        effects = {each: self._ask([other for other in ordered if other != each]).effect for each in ordered}
        return Culprits(ordered, "restored" not in effects.values(), effects)

    def _explained(self, base: Sequence[str], suspects: Sequence[str], *, asks: bool) -> list[str]:
        """Return what of the suspects is needed beside a base for the old behaviour; base and suspects restore it."""
        if asks and self._restores(base):
            return []
        if len(suspects) == 1:
            return list(suspects)
        middle = len(suspects) // 2
        first, second = suspects[:middle], suspects[middle:]
        needed = self._explained([*base, *first], second, asks=True)
        return self._explained([*base, *needed], first, asks=bool(needed)) + needed

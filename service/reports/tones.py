"""The tone of an outcome: a colour with its own pattern, so that colour is never the only difference."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

FLAKY = "flaky"
ODD_TONES = ("odd1", "odd2", "odd3", "odd4")
RAISING = ("raises:", "exits:", "exit:")


def tones_of(outcomes: Iterable[str], known: Iterable[str], expected: Collection[str]) -> Mapping[str, str]:
    """Return the tone of each outcome.

    Args:
        outcomes: the labels to dress, in order of appearance.
        known: the labels that the probe declares, in its order: they keep their tone from page to page.
        expected: the labels that the probe expects.
    """
    declared = [label for label in known if label not in expected and label != FLAKY]
    tones: dict[str, str] = {}
    for label in outcomes:
        if label not in tones:
            tones[label] = _tone(label, declared, expected)
    return tones


def _tone(label: str, declared: list[str], expected: Collection[str]) -> str:
    """Return the tone of one outcome; undeclared ones come after the declared ones."""
    if label in expected:
        return "good"
    if label == FLAKY:
        return "flaky"
    if label.startswith(RAISING):
        return "raise"
    if label not in declared:
        declared.append(label)
    return ODD_TONES[declared.index(label) % len(ODD_TONES)]

"""What the losses of the dropout probe mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.bisection.outcomes import Answer, Outcome, Untestable
from service.bisection.untrusted import brief, finite
from service.catalog.snippets import require_dropout, require_model, syntax_tree

# Sums in another order differ in the last digits of a 32-bit float; dropout changes losses by far more.
ROUNDING = 1e-5


def check(source: str) -> None:
    """Refuse what can be seen to hold no model or no dropout layer."""
    tree = syntax_tree(source)
    require_model(tree)
    require_dropout(tree)


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Say whether dropout dropped, once the controls have shown that the losses can tell."""
    fitted, batches, evaluated = (losses(measurements, name) for name in LOSSES)
    if not (fitted and batches and evaluated):
        return Untestable("the losses are missing, or not finite: " + said(measurements))
    blind = blindness(measurements)
    if blind:
        return Untestable(f"the probe is blind here: {blind}")
    tolerance = ROUNDING * scale(measurements)
    if spread(evaluated) > tolerance:
        return Outcome("always-drops", f"evaluation losses of one batch vary: {span(evaluated)}")
    normally_apart = apart_without_dropout(measurements)
    still = [
        call
        for call, seen in (("fit", fitted), ("train_on_batch", batches))
        if spread(seen) <= tolerance and (normally_apart or abs(seen[0] - evaluated[0]) <= tolerance)
    ]
    if still:
        calls = " and ".join(still)
        return Outcome("never-drops", f"losses of {calls} stay at {fitted[0]:.9g}, evaluation at {evaluated[0]:.9g}")
    rates = [rate for share in shares(measurements) if (rate := rate_seen(share))]
    wrong = [rate for rate in rates if not (rate.fits and rate.mean_fits)]
    if wrong:
        return Outcome("wrong-rate", "; ".join(map(str, wrong)))
    seen = "".join(f"; {rate}" for rate in rates)
    return Outcome("drops", f"training losses vary, {span(fitted)}; evaluation stays at {evaluated[0]:.7g}{seen}")


@dataclass(frozen=True)
class RateSeen:
    """What a layer really drops, with its 95 % interval; for noise the standard deviation, or the rate behind it."""

    layer: str
    declared: float
    seen: float
    low: float
    high: float
    mean: float | None
    """What the layer makes of ones on average; None where that says nothing."""
    mean_fits: bool
    fits: bool

    def __str__(self) -> str:
        seen = (
            f"{self.layer} declares {self.declared:.4g} and shows {self.seen:.4g} ({self.low:.4g} to {self.high:.4g})"
        )
        return seen if self.mean_fits else f"{seen} and scales ones to a mean of {self.mean:.4g}"


def rate_seen(share: Mapping[str, Any]) -> RateSeen | None:
    """Return what a layer really drops, or None where it was not measured."""
    declared, trials = finite(share.get("declared")), trials_of(share)
    means = losses(share, "losses")
    if not means or declared is None or not trials:
        return None
    mean = sum(means) / len(means)
    is_share = share.get("measures") == "share"
    if not 0 <= mean <= (1 if is_share else MOST_VARIANCE):
        return None  # no share and no variance lies there: something else wrote it
    if is_share:
        low, high = wilson(mean, trials, CONFIDENT)
        wide_low, wide_high = wilson(mean, trials, ALMOST_CERTAIN)
    else:
        low, high = variance_interval(mean, trials, CONFIDENT)
        wide_low, wide_high = variance_interval(mean, trials, ALMOST_CERTAIN)
    of_variance = float if is_share else NOISE.get(brief(share.get("attribute")), float)
    seen, low, high, wide_low, wide_high = map(of_variance, (mean, low, high, wide_low, wide_high))
    kept = finite(share.get("mean")) if is_share else None
    mean_fits = kept is None or abs(kept - 1.0) <= ALMOST_CERTAIN * mean_deviation(declared, trials)
    fits = wide_low <= declared <= wide_high
    return RateSeen(brief(share.get("layer")), declared, seen, low, high, kept, mean_fits, fits)


def trials_of(share: Mapping[str, Any]) -> int:
    """Return how many numbers a share was taken from; 0 where that is not known."""
    trials = share.get("trials")
    return trials if isinstance(trials, int) and 0 < trials < MOST_TRIALS else 0


def mean_deviation(rate: float, trials: int) -> float:
    """Return the standard deviation of the mean of so many ones behind dropout that scales what it keeps."""
    return math.sqrt(rate / (1.0 - rate) / trials) if 0.0 < rate < 1.0 else 1.0


MOST_TRIALS = 2**63
MOST_VARIANCE = 1e100
"""Beyond both, the arithmetic below leaves what a float holds."""
CONFIDENT = 1.96
# Five deviations: one false alarm in a million layers, where a survey looks at some hundred.
ALMOST_CERTAIN = 5.0
# GaussianNoise declares a deviation; GaussianDropout a rate p, whose noise has the variance p / (1 - p).
NOISE: Mapping[str, Callable[[float], float]] = {
    "stddev": math.sqrt,
    "rate": lambda variance: variance / (1 + variance),
}


def wilson(share: float, trials: int, deviations: float) -> tuple[float, float]:
    """Return the interval of a share that was seen in so many trials. Source: Wilson 1927."""
    square = deviations**2 / trials
    centre = (share + square / 2) / (1 + square)
    half = deviations * math.sqrt(max(share * (1 - share), 0.0) / trials + square / trials / 4) / (1 + square)
    return centre - half, centre + half


def variance_interval(variance: float, trials: int, deviations: float) -> tuple[float, float]:
    """Return the interval of a variance of normal noise that was seen in so many trials."""
    half = deviations * math.sqrt(2.0 / trials)
    return max(variance * (1 - half), 0.0), variance * (1 + half)


def shares(measurements: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the measured shares, as far as they have the right form."""
    found = measurements.get("shares")
    return [share for share in found if isinstance(share, Mapping)] if isinstance(found, list) else []


LOSSES = ("train_losses", "batch_losses", "evaluate_losses")
CONTROL_CHARACTERS = 500
CONTROLS = ("zero_rate_losses", "zero_rate_evaluate_losses", "near_one_losses")


def blindness(measurements: Mapping[str, Any]) -> str:
    """Return why the losses cannot tell whether dropout drops, or an empty text.

    Losses that vary need the control with rate 0, which shows that nothing else moves them; losses that stay need the
    one with a rate near 1, which shows that dropout would.
    """
    if measurements.get("control_failed"):
        return f"a control could not run ({brief(measurements['control_failed'], CONTROL_CHARACTERS)})"
    own = [losses(measurements, name) for name in LOSSES]
    zero, near_one = losses(measurements, "zero_rate_losses"), losses(measurements, "near_one_losses")
    tolerance = ROUNDING * scale(measurements)
    if zero and spread(zero) > tolerance:
        return f"with rate 0 the training losses still vary, {span(zero)}: something besides dropout moves them"
    if any(spread(seen) > tolerance for seen in own):
        return "" if zero else "the control with rate 0 gave no finite loss"
    if not measurements.get("near_one_losses"):
        return "the control with rate 0.999 gave no loss"
    still = (zero or own[0])[0]
    # A loss beyond all numbers has changed as well.
    if near_one and max(abs(loss - still) for loss in near_one) <= tolerance:
        why = "the loss does not depend on dropout, or the layer drops at no rate"
        return f"with rate 0.999 the training losses stay at {still:.7g}: {why}"
    return ""


def apart_without_dropout(measurements: Mapping[str, Any]) -> bool:
    """Say whether training and evaluation lie apart without any dropout, as batch normalisation keeps them.

    The twin with rate 0 shows it, where it was needed.
    """
    trained, evaluated = losses(measurements, "zero_rate_losses"), losses(measurements, "zero_rate_evaluate_losses")
    return bool(trained and evaluated) and abs(trained[0] - evaluated[0]) > ROUNDING * scale(measurements)


def losses(measurements: Mapping[str, Any], name: str) -> list[float]:
    """Return a list of finite losses, empty when there is none such."""
    found = measurements.get(name)
    read = [finite(loss) for loss in found] if isinstance(found, list) else []
    numbers = [loss for loss in read if loss is not None]
    return numbers if len(numbers) == len(read) else []


def scale(measurements: Mapping[str, Any]) -> float:
    """Return the size of the losses, which rounding is relative to."""
    return max((abs(loss) for name in (*LOSSES, *CONTROLS[:2]) for loss in losses(measurements, name)), default=0.0)


def spread(seen: Sequence[float]) -> float:
    """Return how far losses lie apart."""
    return max(seen) - min(seen)


def span(seen: Sequence[float]) -> str:
    """Say between which values losses lie."""
    return f"{min(seen):.7g} to {max(seen):.7g}"


def said(measurements: Mapping[str, Any]) -> str:
    """Say which losses were handed over, briefly."""
    return ", ".join(f"{name} {brief(measurements.get(name))}" for name in LOSSES)

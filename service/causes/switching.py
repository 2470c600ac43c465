"""The stage that tries switches: settings of the newer release and small edits of the script that restore the old way.

A switch that restores it is a workaround to offer at once; it says where the cause is, but not which definition it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.version import InvalidVersion, Version

from service.bisection.words import counted
from service.causes.defining import CONFIRMING, MakeTrials
from service.causes.explaining import Inquiry
from service.causes.places import ChangePlace
from service.causes.trials import Trial, Trials
from service.coordination.variants import apply
from service.errors import BadInput, Unavailable

TENSORFLOW = ("tensorflow", "tensorflow-cpu", "intel-tensorflow", "tf-nightly", "tf-nightly-cpu")


@dataclass(frozen=True)
class Switch:
    """One setting that may restore the old behaviour."""

    name: str
    how: str
    """What to do, in words for people."""
    trial: Trial
    below_python: bool = False
    """Where it restores, the cause is in compiled code."""


@dataclass(frozen=True)
class KnownSwitch:
    """A switch of TensorFlow."""

    name: str
    how: str
    since: str
    until: str = "99"
    """The first release that does not have it any more."""
    variable: tuple[str, str] = ("", "")
    code: str = ""
    below_python: bool = False


KNOWN = (
    KnownSwitch(
        "onednn-off",
        "set TF_ENABLE_ONEDNN_OPTS=0 before TensorFlow is imported",
        "2.5",
        variable=("TF_ENABLE_ONEDNN_OPTS", "0"),
        below_python=True,
    ),
    KnownSwitch(
        "v2-behavior-off",
        "call tf.compat.v1.disable_v2_behavior()",
        "2.0",
        code="import tensorflow as tf; tf.compat.v1.disable_v2_behavior()",
    ),
    KnownSwitch(
        "functions-eager",
        "call tf.config.run_functions_eagerly(True)",
        "2.3",
        code="import tensorflow as tf; tf.config.run_functions_eagerly(True)",
    ),
    KnownSwitch(
        "graph-optimizer-off",
        'call tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})',
        "2.0",
        code='import tensorflow as tf; tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})',
        below_python=True,
    ),
    KnownSwitch(
        "deterministic",
        "call tf.config.experimental.enable_op_determinism()",
        "2.9",
        code="import tensorflow as tf; tf.config.experimental.enable_op_determinism()",
        below_python=True,
    ),
    KnownSwitch(
        "one-thread",
        "call tf.config.threading.set_intra_op_parallelism_threads(1) and set_inter_op_parallelism_threads(1)",
        "2.0",
        code="import tensorflow as tf; tf.config.threading.set_intra_op_parallelism_threads(1); "
        "tf.config.threading.set_inter_op_parallelism_threads(1)",
        below_python=True,
    ),
)
VARIANTS_TRIED = {
    "input-shape": "give the first layer an input_shape",
    "eager": "switch eager execution on",
    "graph": "switch eager execution off",
}
"""Variants that are no change of what the script asks."""


def switches_for(place: ChangePlace) -> Iterator[Switch]:
    """Yield the switches that the newer release of a change has, those that need no new import first."""
    track = place.crossing.progress.track
    for name, how in VARIANTS_TRIED.items():
        try:
            snippet, parameters = apply(name, track.snippet, track.asked)
        except BadInput:
            continue  # there is nothing to change in this snippet
        yield Switch(name, how, Trial("after", snippet=snippet, parameters=changed_parameters(parameters, track.asked)))
    if place.package in TENSORFLOW:
        at = parsed_version(place.crossing.after)
        for known in KNOWN:
            if at is not None and Version(known.since) <= at < Version(known.until):
                variables = (known.variable,) if known.variable[0] else ()
                trial = Trial("after", variables=variables, switches=(known.code,) if known.code else ())
                yield Switch(known.name, known.how, trial, known.below_python)


def changed_parameters(parameters: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a variant sets."""
    return {name: value for name, value in parameters.items() if before.get(name) != value}


def parsed_version(release: str) -> Version | None:
    try:
        return Version(release)
    except InvalidVersion:
        return None


@dataclass
class Switches:
    """Tries the switches of the newer release."""

    trials: MakeTrials
    name: str = "switches"

    def __call__(self, inquiry: Inquiry) -> None:
        """Try each once; one that restores is tried again in a fresh container before it is named."""
        if inquiry.found["axis"] not in ("release", "unknown"):
            return
        trials = self.trials(inquiry)
        try:
            self._try(inquiry, trials)
        except Unavailable as error:
            inquiry.unfinished(self.name, error.message)
        finally:
            trials.end()

    def _try(self, inquiry: Inquiry, trials: Trials) -> None:
        tried = list(switches_for(inquiry.place))
        found = []
        for switch in tried:
            inquiry.tell(f"switch {switch.name}")
            if restores(trials, switch):
                found.append(switch)
        inquiry.found["switches"] = [{"name": each.name, "how": each.how, "restores": True} for each in found]
        inquiry.found["below_python"] = any(each.below_python for each in found)
        inquiry.done(self.name, said_of_switches(found, len(tried), inquiry.place), trials.used)


def restores(trials: Trials, switch: Switch) -> bool:
    """Say whether a release behaves in the old way with a switch, in two containers."""
    again = replace(switch.trial, fresh=CONFIRMING)
    return all(trials.shows(each).like == "before" for each in (switch.trial, again))


def said_of_switches(found: list[Switch], tried: int, place: ChangePlace) -> str:
    """Say in a sentence what came of the switches."""
    if not found:
        said = "No switch is known for it." if not tried else f"None of {counted(tried, 'switch', 'switches')} restores"
        return said if not tried else f"{said} the behaviour of {place.crossing.before}."
    ways = "; or ".join(each.how for each in found)
    return f"Workaround, tried: {ways}. With that {place.crossing.after} behaves as {place.crossing.before} did."

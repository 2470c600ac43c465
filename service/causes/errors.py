"""What kind of change makes a script raise, and what stands behind it, as both releases' sources tell.

Seven kinds, after the study of framework updates in 140 projects (ISSRE 2023). An error that fits none of them is
`unknown`: a fault inside the release, for example.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from service.catalog.interfaces import Interface, PublicDefinition
from service.causes.names_used import Use, uses_at

ErrorKind = Literal[
    "python-version",
    "api-gone",
    "import-path",
    "parameter",
    "third-party-library",
    "resource",
    "usage-constraint",
    "unknown",
]
KINDS: Mapping[ErrorKind, str] = {
    "python-version": "Python version",
    "api-gone": "API that is gone",
    "import-path": "import path",
    "parameter": "parameter",
    "third-party-library": "third-party library",
    "resource": "resource",
    "usage-constraint": "usage constraint",
    "unknown": "unknown",
}
FAMILY = frozenset(
    {"tensorflow", "keras", "tf_keras", "tensorflow_estimator", "tensorflow_core", "keras_preprocessing"}
)
"""Top-level modules that count as the framework; what changed there is no third party's doing."""
LEFT_PYTHON = frozenset({"imp", "distutils", "asyncore", "asynchat", "cgi", "crypt", "telnetlib", "pipes", "smtpd"})
"""Modules of the standard library that later Pythons lack."""
RESOURCES = frozenset({"MemoryError", "ResourceExhaustedError", "TimeoutError"})
NO_ROOM = re.compile(
    r"No space left|Too many open files|Cannot allocate memory|out of memory|OOM when allocating|can't start new thread"
    r"|Max retries exceeded|Failed to download|URL fetch failure|Temporary failure in name resolution",
    re.IGNORECASE,
)
NO_ATTRIBUTE = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")
NO_MEMBER = re.compile(r"(?:type object )?'([\w.]+)'(?: object)? has no attribute '(\w+)'")
NO_NAME = re.compile(r"cannot import name '?(\w+)'?(?: from (?:partially initialized module )?'([\w.]+)')?")
NO_MODULE = re.compile(r"No module named '?([\w.]+)")
PARAMETERS = (
    re.compile(r"unexpected keyword argument '(\w+)'"),
    re.compile(r"[Aa]rgument\(s\) not recognized: \{'(\w+)'"),
    re.compile(r"[Uu]nrecognized keyword arguments?(?: passed to \w+)?: [\[{(]?'?(\w+)"),
    re.compile(r"[Kk]eyword argument not understood:'?,? '?(\w+)"),
    re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: '(\w+)'"),
    re.compile(r"(\w+) is deprecated in the new Keras optimizer"),
    re.compile(r"The [`'](\w+)[`'] argument .*(?:not supported|removed)"),
)
COUNTED = re.compile(r"takes (?:from |at most |exactly )?\d+ .*arguments?|got multiple values for")
FRAME = re.compile(r'File "([^"]+)", line')
SNIPPET = "snippet.py"
SITE = re.compile(r"site-packages/(\w+)")
OLD_ALIAS = re.compile(r"`(?:np|numpy)\.(\w+)` was (?:a deprecated alias|removed)")
NEW_SYNTAX_OPERANDS = re.compile(r"unsupported operand type\(s\) for \|: 'dict'")
BUILTIN_TYPES = frozenset({"str", "bytes", "dict", "list", "set", "int", "float", "tuple"})
MODULE_MADE_LAZILY = re.compile(r"^(?:keras\.(?:api\._v\d\.keras|_tf_keras\.keras)|tensorflow(?:_core)?\._api\.v\d)")


@dataclass(frozen=True)
class Raised:
    """What a run raised."""

    exception: str
    message: str
    line: int | None = None
    """Of the script."""
    traceback: str = ""


@dataclass(frozen=True)
class ErrorSide:
    """One of the two releases."""

    release: str
    python: str
    packages: Mapping[str, str]
    interface: Interface
    warned: Sequence[str] = ()
    """What it warned of."""


@dataclass(frozen=True)
class ErrorCause:
    """What stands behind a change to or from an error."""

    kind: ErrorKind
    said: str
    """One sentence."""
    name: str = ""
    """The public name at issue, as the script means it."""
    parameter: str = ""
    use: Use | None = field(default=None, compare=False)
    before: PublicDefinition | None = None
    """In the release where the script runs."""
    after: PublicDefinition | None = None
    """In the release where it raises."""
    moved_to: tuple[str, ...] = ()
    """Public paths of the same definition where it raises."""
    advice: str = ""
    place: str = ""
    """File and line, in the release that raises, of the check that raises."""
    warned_since: str = ""

    def to_json(self, works: str, raises: str) -> dict[str, Any]:
        """Return what is told of it.

        Args:
            works: the release in which the script runs.
            raises: the release in which it raises.
        """
        found: dict[str, Any] = {"kind": self.kind, "said": self.said, "works": works, "raises": raises}
        for name in ("name", "parameter", "advice", "place", "warned_since"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        if self.moved_to:
            found["moved_to"] = list(self.moved_to)
        sides = {works: self.before, raises: self.after}
        found["signatures"] = {
            release: f"{as_written(each.public)}{each.signature}"
            for release, each in sides.items()
            if each and each.signature
        }
        return found


def as_written(name: str) -> str:
    """Return a name as scripts write it.

    >>> as_written("tensorflow.keras.Model")
    'tf.keras.Model'
    """
    return f"tf.{name.removeprefix('tensorflow.')}" if name.startswith("tensorflow.") else name


def error_explained(raised: Raised, source: str, works: ErrorSide, raises: ErrorSide) -> ErrorCause:
    """Say what kind of change makes a script raise.

    Args:
        raised: what was raised.
        source: the script.
        works: the release in which it does not raise that.
        raises: the release in which it does.
    """
    for rule in (_resource, _python, _third_party, _parameter, _gone, _constraint):
        found = rule(raised, source, works, raises)
        if found is not None:
            return found
    return ErrorCause(
        "unknown",
        f"{raised.exception} comes from inside {raises.release}; no name, parameter or check that changed explains it.",
    )


def explained_ending(ending: str, works: ErrorSide, raises: ErrorSide) -> ErrorCause | None:
    """Say what a run shows that was ended from outside; None where that is no resource's doing."""
    if ending in ("out-of-memory", "timed-out"):
        what = "memory" if ending == "out-of-memory" else "time"
        return ErrorCause(
            "resource", f"{raises.release} needs more {what} than the run may have; {works.release} does not."
        )
    return None


def _resource(raised: Raised, source: str, works: ErrorSide, raises: ErrorSide) -> ErrorCause | None:  # noqa: ARG001 - all rules are called alike
    if raised.exception in RESOURCES or NO_ROOM.search(raised.message):
        return ErrorCause("resource", f"a resource is used up in {raises.release}: {in_one_line(raised.message)}.")
    return None


def _python(raised: Raised, source: str, works: ErrorSide, raises: ErrorSide) -> ErrorCause | None:
    """Say what only one of two interpreters has."""
    if works.python == raises.python:
        return None
    pythons = f"Python {raises.python} beside {raises.release}, Python {works.python} beside {works.release}"
    if raised.exception in ("SyntaxError", "IndentationError"):
        return ErrorCause("python-version", f"The syntax is not that of Python {raises.python}: {pythons}.")
    for name in _missing(raised):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names | LEFT_PYTHON or top in BUILTIN_TYPES:
            use = next((use for use in uses_at(source, raised.line) if use.name == name), None)
            return ErrorCause("python-version", f"Python {raises.python} has no {name}: {pythons}.", name, use=use)
    if NEW_SYNTAX_OPERANDS.search(raised.message):
        return ErrorCause("python-version", f"Python {raises.python} does not join dicts by |: {pythons}.")
    return None


def _missing(raised: Raised) -> Iterator[str]:
    """Yield the whole names that a message says are not there."""
    if found := NO_ATTRIBUTE.search(raised.message):
        yield f"{found[1]}.{found[2]}"
    elif found := NO_NAME.search(raised.message):
        yield f"{found[2]}.{found[1]}" if found[2] else found[1]
    elif found := NO_MODULE.search(raised.message):
        yield found[1]
    elif found := NO_MEMBER.search(raised.message):
        yield f"{found[1]}.{found[2]}"


def _third_party(raised: Raised, source: str, works: ErrorSide, raises: ErrorSide) -> ErrorCause | None:
    """Say which other package took something away."""
    package = ""
    name = next(_missing(raised), "")
    if old := OLD_ALIAS.search(raised.message):
        package, name = "numpy", f"numpy.{old[1]}"
    elif name and name.split(".")[0] not in FAMILY and "." in name:
        package = name.split(".")[0]
    elif not name:
        inner = SITE.findall(raised.traceback)
        package = inner[-1] if inner and inner[-1] not in FAMILY else ""
    versions = [_version(side, package) for side in (works, raises)] if package else ["", ""]
    if not all(versions) or versions[0] == versions[1]:
        return None
    said = f"{package} {versions[1]} comes with {raises.release}, and {versions[0]} with {works.release}"
    what = f"{name} is gone" if name else in_one_line(raised.message)
    use = next((use for use in uses_at(source, raised.line) if use.name == name), None)
    before = works.interface.resolve(name) if name else None
    advice = OLD_ALIAS.search(raised.message) and in_one_line(raised.message, 300)
    return ErrorCause(
        "third-party-library",
        f"{said}: {what}.",
        name or package,
        use=use,
        before=before,
        advice=advice or (before.advice if before else ""),
    )


def _version(side: ErrorSide, module: str) -> str:
    names = {name.lower().replace("-", "_"): version for name, version in side.packages.items()}
    return names.get(module.lower(), "")


def parameter_of(message: str) -> str:
    """Return the parameter that a message is about; "" if none."""
    return next((found[1] for pattern in PARAMETERS if (found := pattern.search(message))), "")


def is_of_the_script(raised: Raised) -> bool:
    """Say whether the script's own call is what raises, and not one further in."""
    frames = FRAME.findall(raised.traceback)
    return not frames or frames[-1].endswith(SNIPPET)


def _parameter(raised: Raised, source: str, works: ErrorSide, raises: ErrorSide) -> ErrorCause | None:
    if raised.exception not in ("TypeError", "ValueError"):
        return None
    name = parameter_of(raised.message)
    if not name and not (raised.exception == "TypeError" and COUNTED.search(raised.message)):
        return None
    calls = [use for use in uses_at(source, raised.line) if use.call is not None]
    given = [use for use in calls if name and any(keyword.arg == name for keyword in use.call.keywords)]  # type: ignore[union-attr]
    if not given and not is_of_the_script(raised):
        return None  # a call that the release makes itself
    use = next(iter([*given, *calls]), None)
    if use is None:
        return ErrorCause(
            "parameter", f"{raises.release} does not take it: {in_one_line(raised.message)}.", parameter=name
        )
    before, after = works.interface.resolve(use.name), raises.interface.resolve(use.name)
    said = f"{as_written(use.name)} of {raises.release} does not take {name}" if name else in_one_line(raised.message)
    if name and "missing" in raised.message:
        said = f"{as_written(use.name)} of {raises.release} must be given {name}"
    advice = before.advice if before and name and name in before.advice else ""
    return ErrorCause(
        "parameter", f"{said}, which {works.release} does.", use.name, name, use, before, after, advice=advice
    )


def _gone(raised: Raised, source: str, works: ErrorSide, raises: ErrorSide) -> ErrorCause | None:
    """Say which name of the framework is not there any more, and whether the same thing has another name."""
    if raised.exception not in ("AttributeError", "ImportError", "ModuleNotFoundError", "NotImplementedError"):
        return None
    missing = next(_missing(raised), "")
    if not missing:
        return None
    leaf = missing.rpartition(".")[2]
    for use in uses_at(source, raised.line):
        if leaf not in use.name.split(".") and leaf != use.leaf:
            continue
        there = works.interface.resolve(use.name)
        if there is not None and raises.interface.resolve(use.name) is None:
            return _gone_name(use.name, there, use, works, raises)
    before = _of_class(missing, works.interface)
    if before is not None and _of_class(missing, raises.interface) is None:
        used = next((each for each in uses_at(source, raised.line) if each.leaf == leaf), None)
        said = f"{as_written(before.public)} of {works.release} is not in {raises.release}."
        return ErrorCause("api-gone", said, before.public, use=used, before=before, advice=before.advice)
    if missing.split(".")[0] in FAMILY or MODULE_MADE_LAZILY.match(missing):
        return ErrorCause("api-gone", f"{raises.release} has no {missing}.", missing)
    return None


PLACES_OF_CLASSES = (
    "tensorflow.keras.",
    "tensorflow.keras.models.",
    "tensorflow.keras.layers.",
    "tensorflow.keras.optimizers.",
)
HIDDEN_MODEL = {"Functional": "Model"}


def _of_class(missing: str, interface: Interface) -> PublicDefinition | None:
    """Return a member of a class that a message names without its module."""
    kind, _, member = missing.rpartition(".")
    kind = kind.rpartition(".")[2]
    paths = [f"{place}{HIDDEN_MODEL.get(kind, kind)}" for place in PLACES_OF_CLASSES]
    found = (interface.resolve(f"{path}.{member}") for path in [*paths, *interface.public_paths(kind)] if kind)
    return next((each for each in found if each is not None and each.kind != "module"), None)


def _gone_name(name: str, before: PublicDefinition, use: Use, works: ErrorSide, raises: ErrorSide) -> ErrorCause:
    moved = tuple(moved_paths(before, raises.interface))
    # What only compat.v1 still has left the release's own API.
    kind: ErrorKind = "import-path" if moved and ".compat.v1." not in moved[0] else "api-gone"
    said = f"{as_written(name)} of {works.release} is not in {raises.release}"
    if moved:
        still = "" if kind == "import-path" else " but for old scripts"
        said = f"{said}{still}: there it is {as_written(moved[0])}"
    after = raises.interface.resolve(moved[0]) if moved else None
    return ErrorCause(kind, f"{said}.", name, use=use, before=before, after=after, moved_to=moved, advice=before.advice)


MOST_PATHS = 8


def moved_paths(before: PublicDefinition, interface: Interface) -> Iterator[str]:
    """Yield the public paths of a definition in another release, those of the present API first."""
    leaf = before.public.rpartition(".")[2]
    paths = [path for path in (*before.exports, *interface.public_paths(leaf)) if ".compat.v2." not in path]
    paths = [path for path in paths if path != before.public]
    if before.kind == "module":
        paths = []
    usual = sorted(dict.fromkeys(paths), key=lambda path: (".compat.v1." in path, ".experimental." in path))
    for path in usual[:MOST_PATHS]:
        found = interface.resolve(path)
        if found is not None and found.kind == before.kind and is_same(before, found):
            yield path


def is_same(one: PublicDefinition, other: PublicDefinition) -> bool:
    """Say whether two definitions are one in two releases: same name in the same module, or in one of that name."""
    if one.place == other.place:
        return True
    parts = [each.module.split(".")[-1] for each in (one, other)]
    return one.name == other.name and (parts[0] == parts[1] or ("keras" in one.module and "keras" in other.module))


WORD = re.compile(r"[A-Za-z]{2,}")
FEWEST_WORDS = 4


def _constraint(raised: Raised, source: str, works: ErrorSide, raises: ErrorSide) -> ErrorCause | None:
    """Say which check refuses what the script does."""
    if raised.exception in ("AttributeError", "KeyError", "IndexError", "UnboundLocalError", "AssertionError"):
        return None
    place = raising_place(raised, raises.interface)
    if place is None and raised.exception not in ("ValueError", "RuntimeError", "NotImplementedError"):
        return None
    use = next((use for use in uses_at(source, raised.line) if use.call is not None), None)
    said = f"{raises.release} refuses what {works.release} takes: {in_one_line(raised.message)}."
    return ErrorCause("usage-constraint", said, use.name if use else "", use=use, place=place or "")


LITERALS = re.compile(r"[rfbu]*(\"\"\"|'''|\"|')")


def raising_place(raised: Raised, interface: Interface) -> str | None:
    """Return file and line of the `raise` whose text a message is; None where no source has it.

    Messages are put together from parts over several lines: the file with most runs of words counts.
    """
    words = raised.message.split()
    runs = [" ".join(words[at : at + FEWEST_WORDS]) for at in range(max(1, len(words) - FEWEST_WORDS + 1))]
    runs = [run for run in runs if len(WORD.findall(run)) >= FEWEST_WORDS][:12]
    if not runs:
        return None
    best, most = None, 0
    for path, text in interface.texts():
        if "/python/" not in path and "keras" not in path:
            continue
        hits = [text.find(run) for run in runs]
        found = [hit for hit in hits if hit >= 0]
        if len(found) > most:
            at = text.rfind(f"raise {raised.exception}", 0, found[0])
            if at >= 0 and found[0] - at < 1500:
                best, most = f"{path}:{text.count(chr(10), 0, at) + 1}", len(found)
    return best


def in_one_line(text: str, limit: int = 160) -> str:
    """Return a message in one line."""
    line = " ".join(text.split())
    return (line if len(line) <= limit else f"{line[: limit - 1]}…").rstrip(".")


def warned_since(cause: ErrorCause, warnings: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return the first release of those before the change that warned of it, and went on doing so.

    Args:
        cause: what is at issue.
        warnings: releases, oldest first, up to the last that still works, with what each warned of.
    """
    words = [word for word in (cause.parameter, cause.name.rpartition(".")[2]) if len(word) > 1]
    since = ""
    for release, said in warnings:
        speaks = any(re.search(rf"\b{re.escape(word)}\b", text) for word in words[:1] for text in said)
        since = (since or release) if speaks else ""
    return since

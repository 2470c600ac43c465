"""What one run of a script shows, aspect by aspect: facts with names, to be compared between releases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from service.bisection.facts import Facts
from service.bisection.outcomes import CANNOT_ANSWER, Answer, Outcome, Untestable, Value
from service.bisection.untrusted import brief, finite
from service.catalog.normalising import normalised
from service.catalog.snippets import syntax_tree

LARGEST = 2**63
DETAIL_CHARACTERS = 2000
TEXT_CHARACTERS = 4000
NAME_CHARACTERS = 200
MOST_FIELDS = 4000
"""Of one aspect; the rest is left out in every release alike."""
MOST_ITEMS = 300
DEEPEST = 6
EXCEPTION = re.compile(r"[^\W\d][\w.]{0,199}")
# Not within a word: conv2d_1 is a name. A sign belongs to it unless it stands right behind a number or a word.
NUMBER = re.compile(r"(?<![\w.])(?:(?<![\w.)\]])[-+])?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w]|\.\d)")
STAND_IN = "{}"
# Blanks that NumPy and columns put around numbers, by their width and sign.
WIDE = re.compile(r"[ \t]{2,}(?=\{\})|(?<=\{\})[ \t]{2,}")
INNER = re.compile(r"(?:^|(?<=[\[(]))[ \t]+(?=\{\})|(?<=\{\})[ \t]+(?=[\])])")
LINE_OF_FILE = re.compile(r"(<path>|\b[\w./-]+\.py):\d+:?")
OWN_FRAME = 'File "snippet.py", line '
# Where the same module lies in different releases.
MOVED = (
    (re.compile(r"\btensorflow_core\b"), "tensorflow"),
    (re.compile(r"\btensorflow\._api\.v[12]\.(?:v[12]\.)?"), "tensorflow."),
    (re.compile(r"\btensorflow\.(?:python\.)?(?=keras\b)"), ""),
    (re.compile(r"\bkeras\.(?:src|engine|api|_tf_keras\.keras)\b(?:\._v[12]\.keras\b)?"), "keras"),
    (re.compile(r"\{\{.*?\}\} ?"), ""),
)
# What Keras wraps around an error within a layer's call.
WRAPPED = re.compile(r"\AException encountered when calling[^\n]*\n+", re.MULTILINE)
ARGUMENTS = re.compile(r"\n+(?:Call a|A)rguments received by.*\Z", re.DOTALL)
NODE = re.compile(r"(?:\s*\[?\[?\{\{node [^\n]*|\s*\[Op:\w+\](?: name:[^\n]*)?|, name: *$)")
RENAMED = {
    "lr": "learning_rate",
    "acc": "accuracy",
    "val_acc": "val_accuracy",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
}
KEPT = "answers the same"
OF_RELEASE = re.compile(r"V[12]$")


def check(source: str) -> None:
    """Refuse what is not Python."""
    syntax_tree(source)


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Say how the script ended; all else is for whoever compares releases."""
    exit_code = measurements.get("exit_code")
    if not isinstance(exit_code, int) or abs(exit_code) >= LARGEST:
        return Untestable("the script's ending is missing")
    if exit_code == CANNOT_ANSWER:
        return Untestable("the script ended with 125: it cannot answer here")
    if raised := measurements.get("raised"):
        facts = mapping(raised)
        return Outcome(f"raises:{exception_of(facts)}", text_of(facts.get("message"))[:DETAIL_CHARACTERS])
    return Outcome("passes") if exit_code == 0 else Outcome(f"exit:{exit_code:d}")


def aspects(measurements: Mapping[str, Any]) -> dict[str, Facts]:
    """Return the facts of every aspect that applies to a run, by the aspect's name."""
    found: dict[str, Facts] = {}
    for name, read in READERS.items():
        values = distinct(read(measurements))
        if values:
            found[name] = Facts(values, in_lines=name == "prints")
    return found


def distinct(fields: Iterator[tuple[str, Value]]) -> tuple[tuple[str, Value], ...]:
    """Return so many fields, each name once."""
    found: dict[str, Value] = {}
    for name, value in fields:
        if len(found) == MOST_FIELDS:
            break
        found.setdefault(name, value)
    return tuple(found.items())


def ends(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield how the script ended."""
    raised = mapping(measurements.get("raised"))
    if not raised:
        code = measurements.get("exit_code")
        yield "exit code", code if isinstance(code, int) and abs(code) < LARGEST else brief(code)
        return
    yield "exception", exception_of(raised)
    yield "raised by", raiser(raised)
    yield from with_numbers("message", same_error(text_of(raised.get("message"))))


def raiser(raised: Mapping[str, Any]) -> str:
    """Say who raised: the framework, a package that is not there, or the script itself."""
    name, message = exception_of(raised), text_of(raised.get("message"))
    if name in ("ImportError", "ModuleNotFoundError") and message.startswith("No module named"):
        return "a missing module"
    said = text_of(raised.get("traceback")).rpartition(OWN_FRAME)[2].splitlines()[1:2]
    own = raised.get("origin") == "snippet" and (not said or said[0].strip().startswith(("raise", "assert")))
    return "the script" if own or name == "AssertionError" else "the framework"


def same_error(message: str) -> str:
    """Return an error message so that the same error reads the same in every wording that is known.

    Blanks, punctuation, capitals and where a module lies play no part; what Keras wraps around it neither.
    """
    text = ARGUMENTS.sub("", WRAPPED.sub("", message.replace("\x1b[1m", "").replace("\x1b[0m", "")))
    text = NODE.sub("", LINE_OF_FILE.sub("", normalised(text).text))
    for pattern, name in MOVED:
        text = pattern.sub(name, text)
    return text[:TEXT_CHARACTERS]


class Wording(str):
    """A text that reads as it was written; equal to others but for blanks, punctuation and capitals."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and words_of(self) == words_of(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(words_of(self))


def with_numbers(name: str, text: str) -> Iterator[tuple[str, Value]]:
    """Yield a text and, apart from it, its numbers."""
    yield name, Wording(" ".join(NUMBER.sub(STAND_IN, text).split()))
    for at, number in enumerate(NUMBER.findall(text)[:MOST_ITEMS], start=1):
        yield f"{name}, number {at}", number_of(number)


def words_of(text: str) -> str:
    """Return the letters and digits of a text."""
    return re.sub(r"[\W_]", "", text).lower()


def number_of(text: str) -> Value:
    """Return the number that a text is."""
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text) if len(text) < 19 else text[:NAME_CHARACTERS]
    try:
        value = finite(float(text))
    except ValueError:
        value = None
    return text[:NAME_CHARACTERS] if value is None else value


def prints(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield the lines that were printed, each with its numbers beside it."""
    printed = mapping(measurements.get("printed"))
    if not printed:
        return
    head, tail = (normalised(text_of(printed.get(part))).text for part in ("head", "tail"))
    if not head and not tail:
        yield "lines", 0
        return
    lines = head.split("\n") if head else []
    rest = tail.split("\n") if tail else []
    if not mappings(printed.get("between")):
        lines, rest = [*lines, *rest], []
    first = (field for at, line in enumerate(lines, start=1) for field in line_fields(f"line {at}", line))
    yield from islice(first, MOST_FIELDS // 2 if rest else MOST_FIELDS)
    at = len(lines)
    for block in mappings(printed.get("between")):
        count = block.get("lines")
        count = count if isinstance(count, int) and 0 < count < LARGEST else 1
        name = f"lines {at + 1} to {at + count}"
        yield name, brief(block.get("digest"))
        yield f"{name}, mean of their numbers", finite(block.get("mean"))
        at += count
    for place, line in enumerate(rest):
        yield from line_fields(f"line {len(rest) - place} from the end", line)


def line_fields(name: str, line: str) -> Iterator[tuple[str, Value]]:
    """Yield the words of a line, and its numbers."""
    line = LINE_OF_FILE.sub("<path>", line)
    yield name, INNER.sub("", WIDE.sub(" ", NUMBER.sub(STAND_IN, line)))[:TEXT_CHARACTERS]
    for at, number in enumerate(NUMBER.findall(line)[:MOST_ITEMS], start=1):
        yield f"{name}, number {at}", number_of(number)


def reports(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield the values that the script reported."""
    for name, value in pairs(measurements.get("reported")):
        yield from items(text_of(name)[:NAME_CHARACTERS], value)


def items(name: str, value: object, depth: int = 0) -> Iterator[tuple[str, Value]]:
    """Yield a value, a list or mapping item by item."""
    match value:
        case _ if depth > DEEPEST:
            yield name, "nested too deeply"
        case Mapping():
            for key, item in list(value.items())[:MOST_ITEMS]:
                yield from items(f"{name} {brief(key)}", item, depth + 1)
        case list():
            for at, item in enumerate(value[:MOST_ITEMS], start=1):
                yield from items(f"{name} [{at}]", item, depth + 1)
        case _:
            yield name, plain(value)


def plain(value: object) -> Value:
    """Return a value that can be compared."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < LARGEST else brief(value)
    if isinstance(value, float):
        return value if finite(value) is not None else str(value)
    return brief(value, TEXT_CHARACTERS)


def warns(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield each warning, as a field of its own."""
    for kind, message in pairs(measurements.get("warned")):
        yield warning_text(f"{text_of(kind)}: {text_of(message)}"), True


def warning_text(said: str) -> str:
    """Return a warning without what differs from place to place."""
    text = LINE_OF_FILE.sub("<path>", normalised(said).text)
    for pattern, name in MOVED:
        text = pattern.sub(name, text)
    return NUMBER.sub(STAND_IN, " ".join(text.split()))[:TEXT_CHARACTERS]


def trains(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield what the script's own training and evaluation showed."""
    kinds = [call.get("call") for call in mappings(measurements.get("calls"))]
    for kind in TRAINING:
        if kinds.count(kind) > 1:
            yield f"calls of {kind}", kinds.count(kind)
    for name, call in numbered(measurements, TRAINING):
        if "raised" in call:
            yield f"{name} raises", brief(call.get("raised"))
            continue
        for key, values in mapping(call.get("history")).items():
            shown = metric_name(key)
            for at, value in enumerate(listed(values), start=1):
                yield f"{name} epoch {at} {shown}", plain_number(value)
        for at, value in enumerate(listed(call.get("values"))):
            yield f"{name} {'loss' if at == 0 else f'value {at + 1}'}", plain_number(value)
        if "optimizer" in call:
            yield f"{name} optimizer", OF_RELEASE.sub("", brief(call.get("optimizer"))).removesuffix("Optimizer")
        for key, shown in (("learning_rate", "learning rate"), ("steps", "steps")):
            if key in call:
                yield f"{name} {shown}", plain_number(call.get(key))


def metric_name(key: object) -> str:
    """Return what a loss or metric is called in every release: their short names, and none of Keras' numbers."""
    name = re.sub(r"_\d+$", "", text_of(key))[:NAME_CHARACTERS]
    return RENAMED.get(name, name)


def predicts(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield what models answered: to the script, and on fixed inputs with fixed weights."""
    for name, call in numbered(measurements, ("predict",)):
        if "raised" in call:
            yield f"{name} raises", brief(call.get("raised"))
        yield from outputs(name, call.get("outputs"))
    for name, model in models(measurements):
        for key, shown in LOOKS.items():
            yield from outputs(f"{name}{shown}", model.get(key))
            failed = listed(mapping(model.get("failed")).get(key))
            if failed:
                yield f"{name}{shown} raises", brief(failed[0])


TRAINING = ("fit", "train_on_batch", "evaluate")
LOOKS = {
    "predicted": "predict on fixed inputs",
    "called": "call in inference",
    "trained": "call in training",
}


def outputs(name: str, parts: object) -> Iterator[tuple[str, Value]]:
    """Yield shape, kind, statistics and first numbers of outputs."""
    found = mappings(parts)
    for at, part in enumerate(found, start=1):
        shown = f"{name}, output {at}" if len(found) > 1 else name
        yield f"{shown} shape", shape_text(part.get("shape"))
        yield f"{shown} kind", brief(part.get("dtype"))
        for key in ("mean", "spread", "least", "most"):
            if key in part:
                yield f"{shown} {key}", plain_number(part.get(key))
        for place, value in enumerate(listed(part.get("first")), start=1):
            yield f"{shown} [{place}]", plain_number(value)


def model(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield what models are made of, how they begin, and whether a file keeps them."""
    for name, seen in models(measurements):
        yield f"{name}kind", brief(seen.get("kind"))
        layers = mappings(seen.get("layers"))
        yield f"{name}layers", len(layers)
        for at, layer in enumerate(layers, start=1):
            yield f"{name}layer {at} class", OF_RELEASE.sub("", brief(layer.get("class")))
            yield f"{name}layer {at} parameters", plain(layer.get("parameters"))
            if "shape" in layer:
                yield f"{name}layer {at} output shape", shape_text(layer.get("shape"))
        if "parameters" in seen:
            yield f"{name}parameters", plain(seen.get("parameters"))
        for weight in listed(seen.get("weights")):
            at, called, shape, mean, spread = (listed(weight) + [None] * 5)[:5]
            shown = f"{name}weight {brief(at)} ({brief(called)}) at the start"
            yield f"{shown} shape", shape_text(shape)
            yield f"{shown} mean", plain_number(mean)
            yield f"{shown} spread", plain_number(spread)
        if saved := mapping(seen.get("saved")):
            yield f"{name}saved and loaded", saved_text(saved)


def saved_text(saved: Mapping[str, Any]) -> str:
    """Return what came of saving in all formats that a release knows; of an error its name only."""
    results = {brief(suffix): brief(result, NAME_CHARACTERS).partition(":")[0] for suffix, result in saved.items()}
    wrong = [f"{result} as {suffix}" for suffix, result in sorted(results.items()) if result != KEPT]
    return ", ".join(wrong)[:TEXT_CHARACTERS] or KEPT


def seconds(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield the processor time of the script's own work."""
    if (value := finite(mapping(measurements.get("cpu_seconds")).get("script"))) is not None:
        yield "processor seconds", value


def memory(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield the most memory that the script had."""
    if value := finite(measurements.get("memory_bytes")):
        yield "peak memory in MiB", value / 2**20


READERS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[tuple[str, Value]]]] = {
    "ends": ends,
    "prints": prints,
    "reports": reports,
    "warns": warns,
    "trains": trains,
    "predicts": predicts,
    "model": model,
    "time": seconds,
    "memory": memory,
}


def numbered(measurements: Mapping[str, Any], kinds: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the calls of some kinds, each with its name: "fit", or "fit 2" from the second on."""
    seen: dict[str, int] = {}
    for call in mappings(measurements.get("calls")):
        kind = call.get("call")
        if isinstance(kind, str) and kind in kinds:
            seen[kind] = seen.get(kind, 0) + 1
            yield kind if seen[kind] == 1 else f"{kind} {seen[kind]}", call


def models(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the models that were looked at, each with what its fields begin with."""
    found = mappings(measurements.get("models"))
    for at, seen in enumerate(found, start=1):
        yield f"model {at} " if len(found) > 1 else "", seen


def exception_of(raised: Mapping[str, Any]) -> str:
    name = text_of(raised.get("exception"))
    return name if EXCEPTION.fullmatch(name) else "Exception"


def shape_text(shape: object) -> str:
    """Return a shape as people write it."""
    return f"({', '.join('?' if size is None else brief(size) for size in listed(shape))})"


def plain_number(value: object) -> Value:
    """Return a measured number as a float; one that is not finite, or no number, as a text."""
    number = None if isinstance(value, bool) else finite(value)
    return brief(value) if number is None else number


def text_of(value: object) -> str:
    """Return a text as it is, and what should have been one in short."""
    if isinstance(value, str):
        return value
    return "" if value is None else brief(value, DETAIL_CHARACTERS)


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in listed(value) if isinstance(each, Mapping)]


def listed(value: object) -> list[Any]:
    return value[:MOST_ITEMS] if isinstance(value, list) else []


def pairs(value: object) -> list[tuple[Any, Any]]:
    return [(each[0], each[1]) for each in listed(value) if isinstance(each, list) and len(each) == 2]

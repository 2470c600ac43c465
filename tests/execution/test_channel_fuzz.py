"""The channel against anything: what comes out of a run is read alike however it is cut, and what the harness writes is
never taken for somebody else's."""

from __future__ import annotations

import json
import struct
import types
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from service import json_text
from service.bisection.outcomes import Lost, Outcome, RunReport, classify
from service.execution.channel import CHANNEL_BYTES, MESSAGE_BYTES, Transcript
from service.execution.docker_runner import Demultiplexer
from tests.execution.conftest import HARNESS
from tests.fuzzing import unhurried, within_budget

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), 2**63, 1.7e308, 5e-324]),
    st.text(max_size=8),
    st.sampled_from(["\ud800", "\x00\x1b[2J\u202e", "$number", "x" * 3000]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
NAMES = ["event", "result", "kind", "measurements", "message", "exception", "line", "import_seconds", "packages"]
RESULTS: list[Any] = [
    {"kind": "measured", "measurements": {"loss": [1, 2.5]}},
    {"kind": "raised", "exception": "ValueError", "message": "no", "traceback": "a\nb", "line": 3},
    {"kind": "refused", "message": "no model", "line": None},
    {"kind": "untestable", "message": "blind"},
]
EVENTS = st.one_of(
    st.just({"event": "ready", "version": "1.12.0", "import_seconds": 1.5}),
    st.sampled_from(RESULTS).map(lambda result: {"event": "result", "result": result, "probe_seconds": 0.5}),
    st.tuples(st.sampled_from(RESULTS), st.sampled_from(NAMES), JSON).map(
        lambda drawn: {"event": "result", "result": {**drawn[0], drawn[1]: drawn[2]}}
    ),
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5),
)
LINES = st.one_of(
    EVENTS.map(lambda event: json.dumps(event).encode()),
    st.binary(max_size=60),
    st.sampled_from([b"", b"[]", b"\xff\x00", b"[" * 5000, b"9" * 6000, b'{"event": "ready"}', b'{"a": 1, "a": 2}']),
)
CUTS = st.lists(st.integers(0, 400), max_size=8)


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    """Return a text cut in places."""
    at = [0, *sorted(cuts), len(whole)]
    return [whole[start:end] for start, end in pairwise(at)]


def read(chunks: list[bytes]) -> Transcript:
    transcript = Transcript(output_bytes=1000, flood_bytes=10**9)
    for chunk in chunks:
        transcript.add_protocol(chunk)
    return transcript


def can_be_kept(result: Any) -> None:
    """Check that a result can be stored, read back, shown and judged."""
    text = json_text.dumps(result)
    text.encode("utf-8")
    assert json_text.loads(text) == result
    report = RunReport("answered", result=result)
    assert not isinstance(classify(report, lambda _: Outcome("measured")), Lost)


@unhurried
@given(lines=st.lists(LINES, max_size=6), cuts=CUTS)
@example(lines=[b"x"] * 40, cuts=[])
@within_budget
def test_what_comes_is_read_alike_however_it_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    whole = b"\n".join(lines) + b"\n"
    at_once, cut, by_bytes = (
        read([whole]),
        read(pieces(whole, cuts)),
        read([whole[at : at + 1] for at in range(len(whole))]),
    )
    for other in (cut, by_bytes):
        assert (other.ready, other.result, other.fault) == (at_once.ready, at_once.result, at_once.fault)
    if at_once.result is not None:
        can_be_kept(at_once.result)


@unhurried
@given(chunks=st.lists(st.binary(max_size=2000) | st.sampled_from([b"x" * (1 << 20), b"\n" * (1 << 16)]), max_size=8))
@within_budget
def test_no_bytes_make_the_reader_hold_more_than_the_channel_may_carry(chunks: list[bytes]) -> None:
    said = read(chunks * 3)
    assert len(said._line) <= CHANNEL_BYTES
    assert len(said._line) <= MESSAGE_BYTES


class Odd:
    """A value that breaks whoever asks it anything."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        raise self._error


class Endless:
    """An array that turns into itself."""

    def tolist(self) -> Endless:
        return self


harness = types.ModuleType("harness")
exec(compile(HARNESS, "harness.py", "exec"), harness.__dict__)
PARTS = {part.__name__: part for part in harness.PARTS}


def sent(event: dict[str, Any]) -> bytes:
    """Return what the harness writes to tell an event."""
    words = bytearray()

    def write(_descriptor: int, line: bytes) -> int:
        words.extend(line)
        return len(line)

    channel = object.__new__(PARTS["harness_channel"].Channel)
    channel.descriptor, channel._write = 1, write
    channel.send(event)
    return bytes(words)


VALUES = st.recursive(
    SCALARS
    | st.binary(max_size=8)
    | st.sampled_from([Odd(ValueError("no")), Odd(RecursionError()), Endless(), object(), int, 1j])
    | st.just(5000).map(lambda digits: 10**digits),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(st.text(max_size=3) | st.integers(), max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.integers() | st.tuples(st.integers()) | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)


@unhurried
@given(value=VALUES)
@example(value="\ud800" * 300_000)
@example(value=[["x"] * 1000] * 1000)
@within_budget
def test_what_the_harness_writes_of_any_value_is_never_taken_for_somebody_elses(value: Any) -> None:
    event = {"event": "result", "result": {"kind": "measured", "measurements": {"x": value}}, "probe_seconds": 0.1}
    said = read([sent(event)])
    assert said.fault == "", said.fault
    assert said.result is not None
    can_be_kept(said.result)


EXCEPTIONS = st.builds(
    lambda name, message: type(name, (Exception,), {})(message),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=0, max_size=20),
    st.text(max_size=30) | st.sampled_from([Odd(ValueError("no"))]),
)


@unhurried
@given(error=EXCEPTIONS)
@within_budget
def test_any_exception_of_any_name_and_message_is_told(error: Exception) -> None:
    try:
        raise error
    except Exception as caught:
        facts = PARTS["harness_faults"].described((type(caught), caught, caught.__traceback__))
    said = read([sent({"event": "result", "result": facts})])
    assert said.fault == "", said.fault
    assert said.result is not None
    can_be_kept(said.result)


FRAMES = st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 255]), st.binary(max_size=30)), max_size=6)


@unhurried
@given(frames=FRAMES, cuts=CUTS)
@within_budget
def test_the_engines_frames_are_taken_apart_alike_however_they_are_cut(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    whole = b"".join(struct.pack(">BxxxL", stream, len(words)) + words for stream, words in frames)
    told = []
    for chunks in ([whole], pieces(whole, cuts), [whole[at : at + 1] for at in range(len(whole))]):
        transcript, frames_read = Transcript(output_bytes=10_000, flood_bytes=10**9), Demultiplexer()
        for chunk in chunks:
            frames_read.feed(chunk, transcript)
        told.append((transcript.output, transcript.fault))
    assert told[0] == told[1] == told[2]


@unhurried
@given(chunks=st.lists(st.binary(max_size=200), max_size=6))
@within_budget
def test_no_stream_of_an_engine_breaks_the_reader(chunks: list[bytes]) -> None:
    transcript, frames = Transcript(output_bytes=1000, flood_bytes=10**9), Demultiplexer()
    for chunk in chunks:
        frames.feed(chunk, transcript)
    transcript.output.encode("utf-8")

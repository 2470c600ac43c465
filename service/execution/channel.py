"""What comes out of a run: protocol lines on one stream, the snippet's printing on the other. All of it is untrusted.

Protocol 1, one JSON object per line. To the process: the harness's source, the framework to import, the probe with its
snippet. From it: one `ready` once the framework is imported, one `result`; see probes/README.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, TypeAdapter, ValidationError

from service.execution.runner import RunRequest

MESSAGE_BYTES = 1024 * 1024
"""Longest line of the protocol."""
CHANNEL_BYTES = 4 * MESSAGE_BYTES
"""Most that protocol lines may come to: one start and one result, with room to spare."""
DEEPEST = 32
"""Deepest nesting of a result: nothing that a probe measures is deeper, and every reader recurses."""

MOST_LINES = 8
"""Lines that are taken apart in one piece of what came: the protocol has two, and what follows a fault is not read."""

BOOT = 'import sys,json;exec(compile(json.loads(sys.stdin.readline())["harness"],"harness.py","exec"))'
"""The program that a process is started with, Python 2.7 and 3.5 or newer: it reads the harness as its first line."""

Seconds = Annotated[float, Field(ge=0, le=1e9)]
Word = Annotated[str, Field(max_length=200)]


class _Untrusted(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class _Measured(_Untrusted):
    kind: Literal["measured"]
    measurements: dict[str, Any]


class _Raised(_Untrusted):
    kind: Literal["raised"]
    exception: Annotated[str, Field(pattern=r"^[^\W\d][\w.]*$", max_length=200)]
    message: str = ""
    traceback: str = ""
    line: int | None = None


class _Said(_Untrusted):
    kind: Literal["refused", "untestable"]
    message: str
    line: int | None = None


class Ready(BaseModel):
    """The framework is imported."""

    event: Literal["ready"]
    import_seconds: Seconds = 0.0
    framework: Word = ""
    version: Word = ""
    python: Word = ""
    device: Word = ""


class Result(BaseModel):
    """The probe's one answer."""

    event: Literal["result"]
    result: Annotated[_Measured | _Raised | _Said, Discriminator("kind")]
    probe_seconds: Seconds = 0.0
    packages: dict[Word, Word] = Field(default_factory=dict, max_length=2000)


_EVENT: TypeAdapter[Ready | Result] = TypeAdapter(Annotated[Ready | Result, Discriminator("event")])


def opening(harness_source: str, framework: str) -> bytes:
    """Return the lines that can be sent ahead of need: the harness and the framework to import."""
    return _line({"harness": harness_source}) + _line({"framework": framework})


def question(request: RunRequest) -> bytes:
    """Return the line that asks: the probe, the snippet, the parameters."""
    return _line(
        {"probe": request.probe_source, "snippet": request.snippet, "parameters": dict(request.parameters)},
    )


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode("ascii") + b"\n"


class Transcript:
    """Everything that one run said, bounded, as it comes in."""

    def __init__(self, *, output_bytes: int, flood_bytes: int) -> None:
        self.ready: Ready | None = None
        self.result: Mapping[str, Any] | None = None
        self.probe_seconds = 0.0
        self.packages: Mapping[str, str] = {}
        self.fault = ""
        """Why the protocol lines cannot be trusted; "" while they can.

        The harness writes nothing but what the protocol allows, whatever the snippet measures, prints or raises: so a
        line that is none of it is proof that something else wrote.
        """
        self._line = bytearray()
        """The beginning of a line whose end has not come; there is no newline in it."""
        self._protocol_bytes = 0
        self._kept = KeptOutput(output_bytes)
        self._flood_bytes = flood_bytes
        self._received = 0

    @property
    def flooded(self) -> bool:
        """Whether more came than is read at all."""
        return self._received > self._flood_bytes

    @property
    def output(self) -> str:
        """What the snippet printed: head and tail."""
        return self._kept.text()

    def count(self, received_bytes: int) -> None:
        """Count what came beside the words themselves."""
        self._received += received_bytes

    def add_output(self, chunk: bytes) -> None:
        """Take what came on standard error: the snippet's printing."""
        self._received += len(chunk)
        self._kept.add(chunk)

    def add_protocol(self, chunk: bytes) -> None:
        """Take what came on standard output: protocol lines, whole or in part.

        The first fault is the last thing that is read: what follows is counted and dropped.
        """
        self._received += len(chunk)
        self._protocol_bytes += len(chunk)
        if self.fault:
            return
        # Only the new bytes are searched: a line that comes in many pieces costs no more than one that comes whole.
        first, *others = chunk.split(b"\n", MOST_LINES)
        self._line += first
        for part in others:
            self._take(bytes(self._line))
            self._line = bytearray(part)
            if self.fault:
                break
        if len(self._line) > MESSAGE_BYTES:
            self._blame(f"a line longer than {MESSAGE_BYTES} bytes")
        if self._protocol_bytes > CHANNEL_BYTES:
            self._blame(f"more than {CHANNEL_BYTES} bytes")
        if self.fault:
            self._line = bytearray()

    def _take(self, line: bytes) -> None:
        if len(line) > MESSAGE_BYTES:
            self._blame(f"a line longer than {MESSAGE_BYTES} bytes")
            return
        try:
            event = _EVENT.validate_python(clean(json.loads(line)))
        except (ValueError, ValidationError, RecursionError):
            self._blame("a line that is no event of the protocol")
            return
        if isinstance(event, Ready):
            self._take_ready(event)
        else:
            self._take_result(event)

    def _take_ready(self, event: Ready) -> None:
        if self.ready or self.result is not None:
            self._blame("a second start")
        else:
            self.ready = event

    def _take_result(self, event: Result) -> None:
        if self.result is not None:
            self._blame("a second result")
            return
        self.result = event.result.model_dump(exclude_none=True)
        self.probe_seconds = event.probe_seconds
        self.packages = event.packages

    def _blame(self, what: str) -> None:
        self.fault = self.fault or f"something other than the probe wrote to the result channel: {what}"


class KeptOutput:
    """The head and the tail of a stream; what lies between is counted and dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self._half = max(1, limit_bytes // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = 0

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        # Twice the half before trimming: a trim per chunk would copy the tail each time.
        if len(self._tail) > 2 * self._half:
            self._trim()

    def text(self) -> str:
        """Return what is kept as clean text, with a line that says how much was cut."""
        self._trim()
        middle = f"\n[… {self._cut} bytes cut …]\n" if self._cut else ""
        return clean_text(_decoded(self._head) + middle + _decoded(self._tail))

    def _trim(self) -> None:
        surplus = len(self._tail) - self._half
        if surplus > 0:
            del self._tail[:surplus]
            self._cut += surplus


def _decoded(kept: bytearray) -> str:
    return kept.decode("utf-8", "replace")


# Control characters steer terminals and NUL is refused by PostgreSQL; a backspace (Keras's progress bar) says nothing.
_CONTROLS: dict[int, str] = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"}
_CONTROLS[0x08] = ""
_SURROGATES = dict.fromkeys(range(55296, 57344), "�")
_UNCLEAN = _CONTROLS | _SURROGATES


def clean_text(text: str) -> str:
    """Return text without control characters and lone surrogates, which terminals and databases do not take."""
    return text.translate(_UNCLEAN)


def clean(value: Any, depth: int = 0) -> Any:
    """Return a JSON value with every text clean and every number finite.

    Infinities and NaN become their names, since JSON has no word for them; a loss may well be NaN.

    Raises:
        ValueError: nested deeper than any probe's answer.
    """
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST}")
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(name): clean(item, depth + 1) for name, item in value.items()}
    return value

"""What comes out of a run: protocol lines on one stream, the snippet's printing on the other. All of it is untrusted.

Protocol 2, one JSON object per line. To the process: the harness's source, the framework to import, then questions: the
probe with its snippet. From it: one `ready` once the framework is imported; where it answers in children, an `over` and
an `again` for each question, else one `result`; see probes/README.md.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, TypeAdapter, ValidationError

from service.execution.runner import RunRequest

ANSWER_BYTES = 1024 * 1024
"""Longest line of an answer."""
MESSAGE_BYTES = 5 * ANSWER_BYTES
"""Longest line of the protocol: it quotes what a child wrote."""
CHANNEL_BYTES = 2 * MESSAGE_BYTES
"""Largest size of all protocol lines of one question."""
DEEPEST = 32
"""Deepest nesting of a result: nothing that a probe measures is deeper, and every reader recurses."""

MOST_LINES = 8
"""Most lines parsed per chunk: the protocol has two, and lines after a fault are not read."""

BOOT = """
import json,os
held=more=os.read(0,65536)
while more and b"\\n" not in held:
    more=os.read(0,65536)
    held+=more
first,_,held=held.partition(b"\\n")
exec(compile(json.loads(first.decode("ascii"))["harness"],"harness.py","exec"))
"""
"""The program that a process is started with, Python 2.7 and 3.5 or newer: it reads the harness as its first line, and
leaves what came with it to the harness."""

Event = TypeVar("Event")
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
    """"cpu", or "" where an accelerator is within reach."""
    forks: bool = False
    """Whether it answers any number of questions in children; otherwise it answers one."""
    memory_bytes: Annotated[int, Field(ge=0, lt=1 << 50)] = 0
    """Memory of its own once the framework is imported."""


class Result(BaseModel):
    """The probe's one answer."""

    event: Literal["result"]
    result: Annotated[_Measured | _Raised | _Said, Discriminator("kind")]
    probe_seconds: Seconds = 0.0
    packages: dict[Word, Word] = Field(default_factory=dict, max_length=2000)
    device: Word = ""
    """What the framework computed on: told with the answer, since to ask opens an accelerator."""


class Over(BaseModel):
    """A child and all that it started have ended."""

    event: Literal["over"]
    answer: Word
    """The word that came with the question; only the parent knows it, so no child can send this."""
    said: Annotated[str, Field(max_length=2 * ANSWER_BYTES + (1 << 17))] = ""
    """What the child wrote, as Latin-1."""
    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    stopped: bool = False
    """It was told to stop before it had ended."""


class CleanedUp(BaseModel):
    """Whether everything is as before the last question; if not, the process must not be asked again."""

    event: Literal["again"]
    answer: Word
    changed: list[Word] = Field(default_factory=list, max_length=100)


_EVENT: TypeAdapter[Ready | Result | Over | CleanedUp] = TypeAdapter(
    Annotated[Ready | Result | Over | CleanedUp, Discriminator("event")]
)
_RESULT: TypeAdapter[Result] = TypeAdapter(Result)


def opening(harness_source: str, framework: str, word: str = "") -> bytes:
    """Return the lines that can be sent before a question is known.

    Args:
        harness_source: the program that runs probes.
        framework: the module to import.
        word: marks the end of the import's printing; with it, children answer where that can be.
    """
    start = {"framework": framework, "id": word, "folders": ["/tmp", "/dev/shm"]}  # noqa: S108 - the run's own
    return _line({"harness": harness_source}) + _line(start if word else {"framework": framework})


def question(request: RunRequest, word: str = "") -> bytes:
    """Return the line that asks: the probe, the snippet, the parameters, and the word that marks the answer."""
    asked = {"probe": request.probe_source, "snippet": request.snippet, "parameters": dict(request.parameters)}
    return _line({"id": word, **asked, **({"files": dict(request.files)} if request.files else {})})


def stop_line() -> bytes:
    """Return the line that ends the running child."""
    return _line({"stop": True})


def new_word() -> str:
    """Return an unguessable word."""
    return secrets.token_hex(16)


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode("ascii") + b"\n"


class Transcript:
    """All output of one process about its import and its last question, bounded."""

    def __init__(self, *, output_bytes: int, flood_bytes: int, word: str = "") -> None:
        """Begin.

        Args:
            output_bytes: how much printing is kept.
            flood_bytes: how much of it is read at all.
            word: what the process was told to mark the end of its import's printing with; "": nothing is marked.
        """
        self.ready: Ready | None = None
        self.over: Over | None = None
        """How the child of the question ended; None while it runs, and without children."""
        self.again: CleanedUp | None = None
        self.result: Mapping[str, Any] | None = None
        self.probe_seconds = 0.0
        self.packages: Mapping[str, str] = {}
        self.device = ""
        self.fault = ""
        """Why the protocol lines cannot be trusted; "" if they can.

        The harness writes nothing but what the protocol allows, whatever the snippet measures, prints or raises: so a
        line that is none of it is proof that something else wrote.
        """
        self.asked = 0
        """How many questions were asked."""
        self._line = bytearray()
        """The beginning of an incomplete line, without a newline."""
        self._word = word
        self._marks = Marks(word)
        self._protocol_bytes = 0
        self._output_bytes = output_bytes
        self._import_output = ""
        self._kept = KeptOutput(output_bytes)
        self._flood_bytes = flood_bytes
        self._received = 0

    def ask(self, word: str) -> None:
        """Begin the next question; further output belongs to it."""
        if self.asked == 0 and self._marks.passed:
            self._import_output = self._kept.text()
        self.asked += 1
        if self.ready and self.ready.forks:
            self._word, self._marks, self._kept = word, Marks(word), KeptOutput(self._output_bytes)
        self.over = self.again = self.result = None
        self.probe_seconds, self.packages, self.device = 0.0, {}, ""
        self._protocol_bytes = self._received = 0

    @property
    def flooded(self) -> bool:
        """Whether there was more output than is read."""
        return self._received > self._flood_bytes

    @property
    def output(self) -> str:
        """What the import and the snippet printed: head and tail."""
        return self._import_output + self._kept.text()

    @property
    def is_over(self) -> bool:
        """Whether all output of the question has come."""
        return self.over is not None and self._marks.passed

    @property
    def can_be_asked(self) -> bool:
        """Whether the process waits for a question and is unchanged by the last one."""
        if self.fault or self.ready is None:
            return False
        if self.asked == 0:
            return self._marks.passed or not self.ready.forks
        return self.is_over and self.again is not None and not self.again.changed

    def count(self, received_bytes: int) -> None:
        """Count bytes of framing."""
        self._received += received_bytes

    def add_output(self, chunk: bytes) -> None:
        """Add bytes from standard error: the snippet's output."""
        self._received += len(chunk)
        self._kept.add(self._marks.strip(chunk))

    def add_protocol(self, chunk: bytes) -> None:
        """Add bytes from standard output: protocol lines, whole or in part.

        The first fault is the last thing that is read: what follows is counted and dropped.
        """
        self._received += len(chunk)
        self._protocol_bytes += len(chunk)
        if self.fault:
            return
        # Only the new bytes are searched, so that a line in many pieces costs no more than a whole one.
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
        event = _parsed(_EVENT, line, MESSAGE_BYTES)
        match event:
            case None:
                self._blame("a line that is no event of the protocol")
            case Ready() if self.ready or self.asked or self.result is not None:
                self._blame("a second start")
            case Ready():
                self.ready = event
            case Result() if self.ready and self.ready.forks:
                self._blame("a result that no child gave")
            case Result():
                self._take_result(event)
            case Over() | CleanedUp() if event.answer != self._word or not self.asked:
                self._blame("an end that is not that of this question")
            case Over() if self.over is None:
                self.over = event
                self._take_said(event.said.encode("latin-1", "replace"))
            case CleanedUp() if self.over and self.again is None:
                self.again = event
            case _:
                self._blame("a second end")

    def _take_said(self, words: bytes) -> None:
        """Read what a child wrote: one line with its result, or nothing."""
        if not words:
            return
        *lines, rest = words.split(b"\n", 2)
        found = _parsed(_RESULT, lines[0], ANSWER_BYTES) if len(lines) == 1 and not rest else None
        if found is None:
            self._blame("something else than one result")
        else:
            self._take_result(found)

    def _take_result(self, event: Result) -> None:
        if self.result is not None:
            self._blame("a second result")
            return
        self.result = event.result.model_dump(exclude_none=True)
        self.probe_seconds = event.probe_seconds
        self.packages = event.packages
        self.device = event.device

    def _blame(self, what: str) -> None:
        self.fault = self.fault or f"something other than the probe wrote to the result channel: {what}"


def _parsed(kind: TypeAdapter[Event], line: bytes, most_bytes: int) -> Event | None:
    """Return an event, or None for what is none."""
    if len(line) > most_bytes:
        return None
    try:
        return kind.validate_python(clean(json.loads(line)))
    except (ValueError, ValidationError, RecursionError):
        return None


class Marks:
    """Finds and removes the mark that ends a part of the output, even if it comes in pieces."""

    def __init__(self, word: str) -> None:
        self._mark = b"\0" + word.encode() + b"\0" if word else b""
        self._held = b""
        self.passed = False

    def strip(self, chunk: bytes) -> bytes:
        """Return what is certainly output; a possible beginning of a mark is held back."""
        if not self._mark or self.passed:
            return chunk
        before, mark, after = (self._held + chunk).partition(self._mark)
        if mark:
            self.passed, self._held = True, b""
            return before + after
        keep = _beginning(before, self._mark)
        self._held = before[len(before) - keep :]
        return before[: len(before) - keep]


def _beginning(words: bytes, mark: bytes) -> int:
    """Return how many bytes at the end may begin a mark."""
    return next((size for size in range(min(len(mark) - 1, len(words)), 0, -1) if words.endswith(mark[:size])), 0)


class KeptOutput:
    """The head and the tail of a stream; the middle is counted and dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self._half = max(1, limit_bytes // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = 0

    def add(self, chunk: bytes) -> None:
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        # Twice the half before trimming: a trim per chunk would copy the tail each time.
        if len(self._tail) > 2 * self._half:
            self._trim()

    def text(self) -> str:
        """Return the kept parts as clean text, with a line that says how much was cut."""
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
    """Return text without control characters and lone surrogates, which terminals and databases do not accept."""
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

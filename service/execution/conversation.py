"""Talk to a started process until it has answered, ended, or gone beyond a limit."""

from __future__ import annotations

import selectors
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from service.execution.channel import Transcript

CHUNK_BYTES = 64 * 1024
TICK_SECONDS = 0.1
"""How often a cancellation and the memory are looked at."""
SIGNAL_BASE = 128
"""A shell's way to say that a signal ended a process: 128 plus its number; the init process says it that way."""
HIGHEST_SIGNAL = 64
LINGER_SECONDS = 1.0
"""How long a process may take to end after its result: the rest of what it printed may still be on its way."""


@dataclass(frozen=True)
class Exit:
    """How a process ended."""

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    from_outside: bool = False
    """The engine, or somebody through it, ended the process: it says nothing about what ran."""

    def words(self) -> str:
        """Say it for people."""
        if self.signal is None:
            return f"the process ended with exit code {self.code} and without a result"
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = "unknown"
        return f"the process was ended by signal {self.signal} ({name})"


def exit_of(code: int, *, out_of_memory: bool = False) -> Exit:
    """Say how a process ended, from the number that the init process above it gives."""
    if SIGNAL_BASE < code <= SIGNAL_BASE + HIGHEST_SIGNAL:
        return Exit(None, code - SIGNAL_BASE, out_of_memory)
    return Exit(code, None, out_of_memory)


class Process(Protocol):
    """A started process and the ways to it. Used by one thread at a time."""

    def inputs(self) -> Sequence[int]:
        """Return the file descriptors that its words come from."""

    def receive(self, descriptor: int, transcript: Transcript) -> bool:
        """Take what has come, without blocking; False when no more can come."""

    def output(self) -> int:
        """Return the file descriptor that leads to its standard input; none of the inputs."""

    def send(self, words: memoryview) -> int:
        """Send without blocking; return how many bytes were taken.

        Raises:
            OSError: nobody reads any more.
        """

    def takes_too_much(self) -> bool:
        """Say whether it has more memory than it may; False where the kernel keeps that limit."""

    def exit(self) -> Exit | None:
        """Wait a moment until it has ended and say how; None when it goes on, deaf and mute."""

    def discard(self) -> None:
        """Stop it with all its children and remove what it left. Can be called again."""


Stop = Literal["answered", "ended", "timed-out", "output-flood", "out-of-memory", "tampered", "cancelled"]
"""Why a conversation is over; ended: the process closed its side without a result; tampered: see Transcript.fault."""


class Conversation:
    """One exchange with one session: words to send, a transcript of what came."""

    def __init__(self, session: Process, transcript: Transcript) -> None:
        self._session = session
        self._transcript = transcript
        self._unsent = memoryview(b"")

    def hold(self, words: bytes, timeout_seconds: float, cancelled: threading.Event) -> Stop:
        """Send the words and listen until there is a result, or a reason to stop.

        Args:
            words: protocol lines.
            timeout_seconds: wall clock from now.
            cancelled: stops the conversation when set.
        """
        self._unsent = memoryview(words)
        deadline = time.monotonic() + timeout_seconds
        with selectors.DefaultSelector() as selector:
            for descriptor in self._session.inputs():
                selector.register(descriptor, selectors.EVENT_READ, "in")
            selector.register(self._session.output(), selectors.EVENT_WRITE, "out")
            return self._listen(selector, deadline, cancelled)

    def _listen(self, selector: selectors.BaseSelector, deadline: float, cancelled: threading.Event) -> Stop:
        answered = False
        while True:
            if not answered and self._transcript.result is not None:
                answered = True
                deadline = min(deadline, time.monotonic() + LINGER_SECONDS)
            left = deadline - time.monotonic()
            reason = self._reason_to_stop(cancelled, left)
            if reason:
                return reason
            if not self._exchange(selector, min(TICK_SECONDS, left)):
                return "answered" if self._transcript.result is not None else "ended"

    def _reason_to_stop(self, cancelled: threading.Event, left: float) -> Stop | None:
        if cancelled.is_set():
            return "cancelled"
        if self._transcript.fault:
            return "tampered"
        enough = left <= 0 or self._transcript.flooded
        if enough and self._transcript.result is not None:
            return "answered"
        if enough:
            return "output-flood" if self._transcript.flooded else "timed-out"
        return "out-of-memory" if self._session.takes_too_much() else None

    def _exchange(self, selector: selectors.BaseSelector, wait_seconds: float) -> bool:
        """Wait a little for words either way; return whether more can come."""
        for key, _ in selector.select(wait_seconds):
            if key.data == "out":
                self._send(selector)
            elif not self._session.receive(key.fd, self._transcript):
                selector.unregister(key.fd)
        return any(key.data == "in" for key in selector.get_map().values())

    def _send(self, selector: selectors.BaseSelector) -> None:
        try:
            self._unsent = self._unsent[self._session.send(self._unsent[:CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = self._unsent[:0]  # it ended before it read all: what it said before says why
        if not self._unsent:
            selector.unregister(self._session.output())

"""Talks to a started process until it has answered, ended, or exceeded a limit."""

from __future__ import annotations

import selectors
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from service.errors import Unavailable
from service.execution.channel import Transcript, new_word, question, stop_line
from service.execution.runner import RunRequest

CHUNK_BYTES = 64 * 1024
TICK_SECONDS = 0.1
"""How often cancellation and memory are checked."""
SIGNAL_BASE = 128
"""An exit code of 128 plus n means that signal n ended the process, as shells and init processes report it."""
HIGHEST_SIGNAL = 64
STOPPING_SECONDS = 5.0
"""How long a parent may take to end its running child."""
LINGER_SECONDS = 1.0
"""How long a process may take to end after its result: the rest of its output may still come."""


@dataclass(frozen=True)
class Exit:
    """How a process ended."""

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    from_outside: bool = False
    """The engine, or somebody through it, ended the process: this says nothing about the run."""

    def words(self) -> str:
        """Return it in words."""
        if self.signal is None:
            return f"the process ended with exit code {self.code} and without a result"
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = "unknown"
        return f"the process was ended by signal {self.signal} ({name})"


def exit_of(code: int, *, out_of_memory: bool = False) -> Exit:
    """Return how a process ended, from the exit code of its init process."""
    if SIGNAL_BASE < code <= SIGNAL_BASE + HIGHEST_SIGNAL:
        return Exit(None, code - SIGNAL_BASE, out_of_memory)
    return Exit(code, None, out_of_memory)


class Process(Protocol):
    """A started process and its streams. Used by one thread at a time."""

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
        """Return whether it uses more memory than allowed; False if the kernel enforces the limit."""

    def exit(self) -> Exit | None:
        """Wait a moment for its end and return how it ended; None if it goes on with closed streams."""

    def discard(self) -> None:
        """Stop it with all its children and clean up. May be called again."""


Stop = Literal["answered", "ended", "timed-out", "output-flood", "out-of-memory", "tampered", "cancelled"]
"""Why a conversation is over. ended: its streams closed without a result; tampered: see Transcript.fault."""


class Conversation:
    """Questions to one session, one after the other: the unsent bytes, and a transcript of the output."""

    def __init__(self, session: Process, transcript: Transcript, unsent: bytes = b"") -> None:
        """Begin.

        Args:
            session: who is asked.
            transcript: what it says.
            unsent: what has to be sent before any question.
        """
        self._session = session
        self._transcript = transcript
        self._unsent = memoryview(unsent)
        self._request: RunRequest | None = None
        self._stopping: Stop | None = None
        self._answered_at: float | None = None

    def send_ahead(self) -> None:
        """Send as much as possible without waiting; the first question sends the rest."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._session.send(self._unsent[:CHUNK_BYTES]) :]
        except OSError:
            return  # full, or gone: the next question finds out

    def settles(self, seconds: float) -> bool:
        """Wait until the session can be asked again, or the time is over; return whether it can."""
        until = time.monotonic() + seconds
        with self._selector() as selector:
            while not self._transcript.can_be_asked and (left := until - time.monotonic()) > 0:
                if not self._exchange(selector, left):
                    return False
        return self._transcript.can_be_asked

    def is_there(self) -> bool:
        """Return whether the session has neither ended nor written unasked so far."""
        try:
            return all(
                self._session.receive(descriptor, self._transcript) for descriptor in self._session.inputs()
            ) and not (self._transcript.fault or self._transcript.result)
        except Unavailable:
            return False

    def hold(self, request: RunRequest, seconds: float, cancelled: threading.Event) -> Stop:
        """Ask as soon as the session is ready, and listen until there is an answer, or a reason to stop.

        Args:
            request: the question.
            seconds: wall clock from now.
            cancelled: stops the conversation when set.
        """
        self._request, self._stopping, self._answered_at = request, None, None
        deadline = time.monotonic() + seconds
        with self._selector() as selector:
            while True:
                self._ask()
                if self._is_over():
                    return self._stopping or ("answered" if self._transcript.result is not None else "ended")
                deadline = self._nearer(deadline)
                left = deadline - time.monotonic()
                reason = self._reason_to_stop(cancelled, left)
                if reason and not self._tell_to_stop(reason):
                    return self._stopping or reason
                if reason:
                    deadline = time.monotonic() + STOPPING_SECONDS
                elif not self._exchange(selector, min(TICK_SECONDS, left)):
                    return self._stopping or ("answered" if self._transcript.result is not None else "ended")

    def _selector(self) -> selectors.BaseSelector:
        selector = selectors.DefaultSelector()
        for descriptor in self._session.inputs():
            selector.register(descriptor, selectors.EVENT_READ, "in")
        return selector

    def _ask(self) -> None:
        """Send the question once the session waits for it."""
        if self._request is not None and not self._unsent and self._transcript.can_be_asked:
            word = new_word()
            self._transcript.ask(word)
            self._unsent = memoryview(question(self._request, word))
            self._request = None

    def _is_over(self) -> bool:
        """Return whether a parent has closed the question."""
        return self._request is None and self._transcript.is_over

    def _nearer(self, deadline: float) -> float:
        """Return until when to listen: after an answer, only for output that is on its way."""
        answered = self._transcript.over if self._answers_in_children() else self._transcript.result
        return deadline if answered is None else min(deadline, self._since_answer() + LINGER_SECONDS)

    def _since_answer(self) -> float:
        self._answered_at = self._answered_at or time.monotonic()
        return self._answered_at

    def _answers_in_children(self) -> bool:
        return self._transcript.ready is not None and self._transcript.ready.forks

    def _tell_to_stop(self, reason: Stop) -> bool:
        """Tell a parent to end its running child; return False if the whole process must be ended."""
        alone = self._stopping is None and self._request is None and self._answers_in_children()
        if not alone or reason in ("cancelled", "tampered", "answered") or self._unsent:
            return False
        self._stopping = reason
        self._unsent = memoryview(stop_line())
        return True

    def _reason_to_stop(self, cancelled: threading.Event, left: float) -> Stop | None:
        if cancelled.is_set():
            return "cancelled"
        if self._transcript.fault:
            return "tampered"
        enough = left <= 0 or (self._transcript.flooded and self._stopping is None)
        if enough and self._transcript.result is not None:
            return "answered"
        if enough:
            return "output-flood" if self._transcript.flooded else "timed-out"
        return "out-of-memory" if self._stopping is None and self._session.takes_too_much() else None

    def _exchange(self, selector: selectors.BaseSelector, wait_seconds: float) -> bool:
        """Wait a moment to send or receive; return whether more can come."""
        if self._unsent and self._session.output() not in selector.get_map():
            selector.register(self._session.output(), selectors.EVENT_WRITE, "out")
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
            self._unsent = self._unsent[:0]  # it ended before it read everything: its output says why
        if not self._unsent:
            selector.unregister(self._session.output())

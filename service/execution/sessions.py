"""What all runners share: prepare, warm and run told once, over the few things in which engines differ."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from service.bisection.outcomes import Ending, RunReport
from service.catalog.targets import Hardware, Target
from service.errors import DiskFull, ReleaseUntestable, Unavailable
from service.execution.channel import Transcript, opening, question
from service.execution.conversation import Conversation, Exit, Process, Stop
from service.execution.limits import Limits
from service.execution.runner import RunRequest


class ResolvedEnvironment(Protocol):
    """What a runner needs to know of an environment; the catalog's Environment has it."""

    @property
    def python(self) -> str:
        """Return the interpreter's minor, such as "3.6"; "" where only its image knows."""

    @property
    def lock(self) -> str:
        """Return the requirements with their hashes."""

    @property
    def packages(self) -> Mapping[str, str]:
        """Return the packages by name."""

    @property
    def digest(self) -> str:
        """Return "sha256:…" over all that makes the environment what it is."""


class EnvironmentSupply(Protocol):
    """Resolves a release into its environment."""

    def resolve(self, target: Target) -> ResolvedEnvironment:
        """Return the environment of a target.

        Raises:
            ReleaseUntestable: it cannot be had.
            Unavailable: something around us is missing.
        """


@dataclass(frozen=True)
class Place:
    """Where a release's probe can run: an image, or a folder with an environment."""

    image: str
    environment: ResolvedEnvironment
    hardware: Hardware = "cpu"


@dataclass
class Started:
    """A session with its transcript, its opening lines still to be sent or already sent."""

    session: Process
    transcript: Transcript
    unsent: bytes
    start_seconds: float
    born: float = field(default_factory=time.monotonic)


class WarmShelf:
    """Started sessions that wait for their one snippet, by key, at most a given number; the oldest goes first."""

    def __init__(self, slots: int, lifetime_seconds: float) -> None:
        self._slots = slots
        self._lifetime_seconds = lifetime_seconds
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, Started]] = []

    def wants(self, key: str) -> bool:
        """Say whether one more session of this key is of use."""
        with self._lock:
            return self._slots > 0 and all(kept != key for kept, _ in self._waiting)

    def put(self, key: str, started: Started) -> list[Started]:
        """Keep a session; return those that have to go."""
        with self._lock:
            self._waiting.append((key, started))
            surplus = max(0, len(self._waiting) - self._slots)
            gone, self._waiting = self._waiting[:surplus], self._waiting[surplus:]
        return [started for _, started in gone]

    def take(self, key: str) -> tuple[Started | None, list[Started]]:
        """Return the session of this key, or None, and those that have waited too long."""
        now = time.monotonic()
        with self._lock:
            fresh = [item for item in self._waiting if now - item[1].born <= self._lifetime_seconds]
            stale = [started for _, started in self._waiting if now - started.born > self._lifetime_seconds]
            found = next((item for item in fresh if item[0] == key), None)
            self._waiting = [item for item in fresh if item is not found]
        return (found[1] if found else None), stale

    def expire(self) -> tuple[list[Started], float | None]:
        """Give up those that have waited too long; say in how many seconds the next one will have, None for none."""
        now = time.monotonic()
        with self._lock:
            stale = [started for _, started in self._waiting if now - started.born >= self._lifetime_seconds]
            self._waiting = [item for item in self._waiting if item[1] not in stale]
            next_at = min((started.born for _, started in self._waiting), default=None)
        return stale, None if next_at is None else next_at + self._lifetime_seconds - now

    def clear(self) -> list[Started]:
        """Give up all that waits."""
        with self._lock:
            gone, self._waiting = self._waiting, []
        return [started for _, started in gone]


WARM_SECONDS = 900.0
"""How long a warm session may wait: its memory is worth more than a second start by then."""
LONGEST_RUN_SECONDS = 3600.0
"""What is added to a warm session's life for the run that takes it."""


class SessionRunner(ABC):
    """A runner over sessions. An engine says how a place is made, how a session starts, and what it cannot protect."""

    name = ""

    def __init__(
        self,
        environments: EnvironmentSupply,
        limits: Limits,
        *,
        harness_source: str = "",
        warm: int = 0,
        warm_seconds: float = WARM_SECONDS,
    ) -> None:
        """Make a runner.

        Args:
            environments: resolves releases.
            limits: bounds of each run.
            harness_source: what warm sessions are started with; without it nothing is warmed.
            warm: how many sessions may wait at once.
            warm_seconds: how long each of them may wait.
        """
        self._environments = environments
        self._limits = limits
        self._harness_source = harness_source
        self._shelf = WarmShelf(warm if harness_source else 0, warm_seconds)
        self._warm_seconds = warm_seconds
        self._timer: threading.Timer | None = None
        self._timing = threading.Lock()
        self._places: dict[Target, Place] = {}

    @abstractmethod
    def _make_place(self, target: Target) -> Place:
        """Make the place be there; two callers wait for one."""

    @abstractmethod
    def _start(self, place: Place, name: str, lifetime_seconds: float) -> Process:
        """Start a process in a place; raises Unavailable."""

    @abstractmethod
    def missing_protections(self, place: Place | None = None) -> tuple[str, ...]:
        """Protections that this runner cannot give, in general or in a place."""

    def prepare(self, target: Target) -> None:
        """Make the environment be there; see Runner."""
        self._place(target)

    def warm(self, target: Target, framework: str) -> None:
        """Start a session that imports the framework and waits; see Runner."""
        key = _warm_key(target, framework, self._harness_source)
        if not self._shelf.wants(key):
            return
        lines = opening(self._harness_source, framework)
        started = self._begin(self._place(target), "warm", lines, self._warm_seconds + LONGEST_RUN_SECONDS)
        _send_ahead(started)
        self._discard(*self._shelf.put(key, started))
        self._expire()

    def run(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        """Run the probe once and say what happened; see Runner."""
        began = time.monotonic()
        try:
            place = self._place(request.target)
        except ReleaseUntestable as error:
            return RunReport("unprepared", error.message, runner=self.name)
        except Unavailable as error:
            return RunReport("lost", error.message, runner=self.name, hopeless=isinstance(error, DiskFull))
        prepared = time.monotonic() - began
        try:
            report = self._run_in(place, request, cancelled)
        except ReleaseUntestable as error:
            report = RunReport("unprepared", error.message)
        except Unavailable as error:
            self._places.pop(request.target, None)  # the image may be gone: look again next time
            report = RunReport("lost", error.message, hopeless=isinstance(error, DiskFull))
        seconds = {"prepare": prepared, **report.seconds, "total": time.monotonic() - began}
        return replace(report, runner=self.name, seconds={step: round(value, 4) for step, value in seconds.items()})

    def close(self) -> None:
        """Stop and remove all that this runner started."""
        with self._timing:
            if self._timer:
                self._timer.cancel()
        self._discard(*self._shelf.clear())

    def _expire(self) -> None:
        """End what has waited too long, now and by a timer whenever the next one has: a service may idle for days."""
        stale, next_seconds = self._shelf.expire()
        self._discard(*stale)
        with self._timing:
            if self._timer:
                self._timer.cancel()
            self._timer = None
            if next_seconds is not None:
                self._timer = threading.Timer(next_seconds, self._expire)
                self._timer.daemon = True
                self._timer.start()

    def _place(self, target: Target) -> Place:
        place = self._places.get(target)
        if place is None:
            place = self._places[target] = self._make_place(target)
        return place

    def _run_in(self, place: Place, request: RunRequest, cancelled: threading.Event) -> RunReport:
        warm, stale = self._shelf.take(_warm_key(request.target, request.framework, request.harness_source))
        self._discard(*stale)
        if warm and _still_waits(warm):
            return self._converse(warm, place, request, cancelled)
        if warm:
            # It died while it waited: only a session of its own says what this release does.
            self._discard(warm)
        if cancelled.is_set():
            return RunReport("lost", "cancelled")
        lines = opening(request.harness_source, request.framework)
        started = self._begin(place, request.run_id, lines, request.timeout_seconds)
        return self._converse(started, place, request, cancelled)

    def _begin(self, place: Place, name: str, lines: bytes, lifetime_seconds: float) -> Started:
        began = time.monotonic()
        session = self._start(place, name, lifetime_seconds)
        transcript = Transcript(output_bytes=self._limits.output_bytes, flood_bytes=self._limits.flood_bytes)
        return Started(session, transcript, lines, time.monotonic() - began)

    def _converse(self, started: Started, place: Place, request: RunRequest, cancelled: threading.Event) -> RunReport:
        transcript, session = started.transcript, started.session
        killed_before = killed_for_memory()
        try:
            words = started.unsent + question(request)
            stop = Conversation(session, transcript).hold(words, request.timeout_seconds, cancelled)
            ended = session.exit() if stop == "ended" else None
            if ended and ended.signal == signal.SIGKILL and killed_for_memory() > killed_before:
                ended = replace(ended, from_outside=True)
        finally:
            self._discard(started)
        facts = _facts(transcript, place, started.start_seconds)
        facts = replace(facts, missing_protections=self.missing_protections(place))
        return on_its_hardware(
            report_of_ending(facts, transcript, stop, ended, request.timeout_seconds), place.hardware
        )

    def _discard(self, *gone: Started) -> None:
        for started in gone:
            started.session.discard()


def killed_for_memory(counters: Path = Path("/proc/vmstat")) -> int:
    """Return how often this machine's kernel ended a process for want of memory; 0 where it does not say."""
    try:
        return sum(int(line.split()[1]) for line in counters.read_text().splitlines() if line.startswith("oom_kill "))
    except (OSError, ValueError, IndexError):
        return 0


def _send_ahead(started: Started) -> None:
    """Send as much of the opening lines as is taken without waiting; the run sends the rest."""
    words = memoryview(started.unsent)
    try:
        while words:
            words = words[started.session.send(words) :]
    except OSError:
        pass  # full, or gone: the run that takes this session finds out
    started.unsent = bytes(words)


def _still_waits(started: Started) -> bool:
    """Say whether a warm session has neither ended nor answered, by what it has said so far."""
    session, transcript = started.session, started.transcript
    try:
        open_ways = [session.receive(descriptor, transcript) for descriptor in session.inputs()]
    except Unavailable:
        return False
    return all(open_ways)


def _warm_key(target: Target, framework: str, harness_source: str) -> str:
    harness = hashlib.sha256(harness_source.encode()).hexdigest()
    place = (target.package, target.release, target.hardware, target.source or "")
    return "\0".join((*place, framework, harness))


def _facts(transcript: Transcript, place: Place, start_seconds: float) -> RunReport:
    """Return what is known of a run whatever its ending."""
    ready = transcript.ready
    seconds = {"start": start_seconds, "probe": transcript.probe_seconds}
    if ready:
        seconds["import"] = ready.import_seconds
    return RunReport(
        "lost",
        output=transcript.output,
        image=place.image,
        python=(ready.python if ready else "") or place.environment.python,
        packages=_packages(place.environment, transcript),
        device=ready.device if ready else "",
        seconds=seconds,
    )


def _packages(environment: ResolvedEnvironment, transcript: Transcript) -> dict[str, str]:
    """Return the packages of the lock; without one, what was loaded beside what is known."""
    return {**({} if environment.lock else transcript.packages), **environment.packages}


def report_of_ending(
    facts: RunReport, transcript: Transcript, stop: Stop, ended: Exit | None, timeout_seconds: float
) -> RunReport:
    """Say how a run ended: one decision over why the conversation stopped and how the process ended."""
    if stop == "cancelled":
        return replace(facts, ending="lost", reason="cancelled")
    if transcript.fault:
        return replace(facts, ending="answered", result={"kind": "untestable", "message": transcript.fault})
    if transcript.result is not None:
        return replace(facts, ending="answered", result=transcript.result)
    if stop == "ended":
        return _conclude_exit(facts, ended)
    step = "while it measured" if transcript.ready else "while it imported the framework"
    reasons: Mapping[Stop, tuple[Ending, str]] = {
        "timed-out": ("timed-out", f"no answer within {timeout_seconds:g} seconds; stopped {step}"),
        "output-flood": ("output-flood", f"printed without end; stopped {step}"),
        "out-of-memory": ("out-of-memory", f"took more memory than it may; stopped {step}"),
    }
    ending, reason = reasons[stop]
    return replace(facts, ending=ending, reason=reason)


def on_its_hardware(report: RunReport, hardware: Hardware) -> RunReport:
    """Return the report, untestable where a run for an accelerator went to the CPU in silence."""
    measured = report.result is not None and report.result.get("kind") == "measured"
    if hardware == "cpu" or not measured or report.device not in ("", "cpu"):
        return report
    return replace(report, result={"kind": "untestable", "message": "no CUDA device: the framework ran on the CPU"})


def _conclude_exit(facts: RunReport, ended: Exit | None) -> RunReport:
    if ended is None:
        reason = "closed its channels without a result and went on running; stopped"
        return replace(facts, ending="timed-out", reason=reason)
    if ended.out_of_memory:
        return replace(facts, ending="out-of-memory", reason="took more memory than it may; ended by the kernel")
    if ended.from_outside:
        return replace(facts, ending="lost", reason=f"{ended.words()} from outside; tried again")
    ending: Ending = "signalled" if ended.signal is not None else "exited"
    return replace(facts, ending=ending, reason=ended.words(), exit_code=ended.code, signal=ended.signal)

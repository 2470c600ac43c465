"""What all runners share: prepare, warm and run, built on the few operations that differ between engines."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from service.bisection.outcomes import Ending, RunReport
from service.catalog.targets import Hardware, Target
from service.errors import DiskFull, ReleaseUntestable, Unavailable
from service.execution.channel import Transcript, new_word, opening
from service.execution.conversation import Conversation, Exit, Process, Stop
from service.execution.forking import Answered, Forking, end_alike, is_sent
from service.execution.limits import Limits
from service.execution.runner import RunRequest
from service.execution.waiting import ProcessOf, Purpose, Started, WaitingProcesses
from service.settings import GIB


class ResolvedEnvironment(Protocol):
    """The parts of an environment that a runner needs; implemented by the catalog's Environment."""

    @property
    def python(self) -> str:
        """Return the interpreter's minor version, such as "3.6"; "" if only its image knows."""

    @property
    def lock(self) -> str:
        """Return the requirements with their hashes."""

    @property
    def packages(self) -> Mapping[str, str]:
        """Return the packages by name."""

    @property
    def digest(self) -> str:
        """Return the "sha256:…" digest of everything that defines the environment."""


class EnvironmentSupply(Protocol):
    """Resolves a release into its environment."""

    def resolve(self, target: Target) -> ResolvedEnvironment:
        """Return the environment of a target.

        Raises:
            ReleaseUntestable: it has no environment.
            Unavailable: infrastructure is missing.
        """


@dataclass(frozen=True)
class Place:
    """Where the probe of a release runs: an image, or a folder with an environment."""

    image: str
    environment: ResolvedEnvironment
    hardware: Hardware = "cpu"
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables of the script that the import of its release reads."""


@dataclass(frozen=True)
class Start:
    """How a process is started."""

    framework: str
    harness_source: str
    hash_seed: int = 0
    """PYTHONHASHSEED: the order of sets, and before Python 3.6 of dicts, depends on it."""
    forks: bool = False
    """Whether it answers in children, as PID 1 of its own namespace."""
    lifetime_seconds: float = 0.0
    """The longest time that it may be needed."""


WARM_SECONDS = 900.0
"""How long a warm session may wait; after that, its memory is worth more than a saved start."""
LONGEST_RUN_SECONDS = 3600.0
"""Added to a warm session's lifetime for the run that uses it."""


READY_SECONDS = 120.0
"""How long a standing session may take to import its framework."""
SETTLE_SECONDS = 10.0
"""How long a process may take to clean up after a child before it is replaced."""


@dataclass(frozen=True)
class Waits:
    """How many processes may wait for questions."""

    unasked: int = 0
    """Processes that have imported the framework in advance."""
    most_bytes: int = 2 * GIB
    """Memory of all waiting processes together."""
    seconds: float = WARM_SECONDS
    standing_bytes: int = 0
    """Additional memory of the standing pool; 0: no pool."""


class SessionRunner(ABC):
    """A runner based on sessions. Subclasses make places, start sessions, and report missing protections."""

    name = ""

    def __init__(
        self, environments: EnvironmentSupply, limits: Limits, *, harness_source: str = "", waits: Waits | None = None
    ) -> None:
        """Make a runner.

        Args:
            environments: resolves releases.
            limits: of each run.
            harness_source: the harness for warm sessions; without it nothing is warmed.
            waits: how many processes may wait for questions; None: none are started in advance.
        """
        self._environments = environments
        self._limits = limits
        self._harness_source = harness_source
        self._waits = waits or Waits()
        unasked = self._waits.unasked if harness_source else 0
        standing_bytes = self._waits.standing_bytes if harness_source else 0
        self._shelf = WaitingProcesses(unasked, self._waits.most_bytes, self._waits.seconds, standing_bytes)
        self._timer: threading.Timer | None = None
        self._timing = threading.Lock()
        self._places: dict[Target, Place] = {}
        self._forking = Forking()

    @abstractmethod
    def _make_place(self, target: Target, environment: ResolvedEnvironment | None) -> Place:
        """Make the place if needed, of an environment that is known or of the target's own; callers share one."""

    @abstractmethod
    def _start(self, place: Place, name: str, start: Start) -> Process:
        """Start a process in a place; raises Unavailable."""

    def _can_fork(self, _place: Place) -> bool:
        """Return whether a process in a place can be PID 1 of its own namespace, with private folders."""
        return True

    @abstractmethod
    def missing_protections(self, place: Place | None = None) -> tuple[str, ...]:
        """Return the protections that this runner cannot give, in general or in a place."""

    def prepare(self, target: Target) -> None:
        """Make sure that the environment exists; see Runner."""
        self._place(target)

    def warm(self, target: Target, framework: str, process: int = 0) -> None:
        """Start a session that imports the framework and waits; see Runner."""
        place = self._place(target)
        start = self._start_of(target, place, framework, self._harness_source, process)
        key = _key(target, start)
        if not self._shelf.wants(key):
            return
        started = self._begin(place, "warm", start)
        started.conversation.send_ahead()
        self._keep(Purpose(key, answers_as=(target, process)), started)

    def stand(self, target: Target, framework: str, process: int = 0) -> bool:
        """Keep a session ready for the first question of any bisection; see Runner."""
        place = self._place(target)
        start = self._start_of(target, place, framework, self._harness_source, process)
        key = _key(target, start)
        if not self._shelf.has_room_to_stand(key):
            return False
        started = self._begin(place, "standing", start)
        started.conversation.send_ahead()
        started.conversation.settles(READY_SECONDS)
        self._shelf.stand(key, started)
        self._expire()
        return True

    def waiting(self) -> int:
        """Return how many sessions wait for a question."""
        return self._shelf.count()

    def run(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        """Run the probe once and report what happened; see Runner."""
        began = time.monotonic()
        try:
            place = self._place(request.target, request.environment)
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

    def expect(self, bisection_id: str, wanted: Sequence[ProcessOf]) -> None:
        """Record what a bisection asks next; see Runner."""
        self._shelf.expect(bisection_id, wanted)

    def end(self, bisection_id: str) -> None:
        """End the processes that wait for further questions of a bisection; see Runner."""
        self._discard(*self._shelf.end(bisection_id))
        self._forking.forget(bisection_id)

    def close(self) -> None:
        """Stop and remove everything that this runner started."""
        with self._timing:
            if self._timer:
                self._timer.cancel()
        self._discard(*self._shelf.clear())

    def _keep(self, purpose: Purpose, started: Started) -> None:
        self._discard(*self._shelf.put(purpose, started))
        self._expire()

    def _expire(self) -> None:
        """End processes that have waited too long, now and by a timer, since a service may be idle for days."""
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

    def _place(self, target: Target, environment: ResolvedEnvironment | None = None) -> Place:
        place = self._places.get(target)
        if place is None or (environment is not None and environment.digest != place.environment.digest):
            place = self._places[target] = self._make_place(target, environment)
        return place

    def _run_in(self, place: Place, request: RunRequest, cancelled: threading.Event) -> RunReport:
        """Answer in a child if possible; if its ending is doubtful, answer again in a separate process.

        The fork may have caused the ending, or somebody may have killed the child: the second answer shows it.
        """
        start = self._start_of(
            request.target, place, request.framework, request.harness_source, request.process, request.timeout_seconds
        )
        alone = replace(start, forks=False)
        answer = self._answer(place, request, start, cancelled)
        if start.forks and self._forking.doubts(request, answer):
            child, answer = answer, self._answer(place, request, alone, cancelled)
            self._forking.compare(request, child, answer)
            if end_alike(child.report, answer.report):
                return answer.report
        if is_sent(answer.report) and not self._forking.is_known(request, answer.report):
            first, answer = answer, self._answer(place, request, alone, cancelled)
            self._forking.compare(request, first, answer)
        return answer.report

    def _start_of(
        self, target: Target, place: Place, framework: str, harness_source: str, process: int, seconds: float = 0.0
    ) -> Start:
        forks = self._can_fork(place) and self._forking.survives(target)
        lifetime = self._waits.seconds + LONGEST_RUN_SECONDS if forks or not seconds else seconds
        return Start(framework, harness_source, process, forks, lifetime)

    def _answer(self, place: Place, request: RunRequest, start: Start, cancelled: threading.Event) -> Answered:
        key = _key(request.target, start)
        started = self._waiting_for(key, request.bisection_id)
        if cancelled.is_set():
            if started:
                self._discard(started)
            return Answered(RunReport("lost", "cancelled"), "cancelled")
        if started is None:
            started = self._begin(place, request.run_id, start)
        return self._converse(started, place, request, start, cancelled)

    def _waiting_for(self, key: str, bisection_id: str) -> Started | None:
        """Return a waiting process for this question that is still unchanged."""
        purposes = [Purpose(key, bisection_id), Purpose(key)] if bisection_id else [Purpose(key)]
        while started := self._shelf.take(*purposes):
            conversation = started.conversation
            if conversation.settles(SETTLE_SECONDS) if started.transcript.asked else conversation.is_there():
                return started
            # It died or was changed while it waited: only a new session shows how this release behaves.
            self._discard(started)
        return None

    def _begin(self, place: Place, name: str, start: Start) -> Started:
        began = time.monotonic()
        session = self._start(place, name, start)
        word = new_word() if start.forks else ""
        limits = self._limits
        transcript = Transcript(output_bytes=limits.output_bytes, flood_bytes=limits.flood_bytes, word=word)
        conversation = Conversation(session, transcript, opening(start.harness_source, start.framework, word))
        return Started(session, transcript, conversation, time.monotonic() - began, new_word()[:16])

    def _converse(
        self, started: Started, place: Place, request: RunRequest, start: Start, cancelled: threading.Event
    ) -> Answered:
        transcript, kept = started.transcript, False
        is_first = transcript.asked == 0
        killed_before = killed_for_memory()
        try:
            stop = started.conversation.hold(request, request.timeout_seconds, cancelled)
            ended = _ended(started, stop)
            if ended and ended.signal == signal.SIGKILL and killed_for_memory() > killed_before:
                ended = replace(ended, from_outside=True)
            kept = bool(request.bisection_id) and transcript.is_over and not transcript.fault and stop != "cancelled"
            facts = _facts(started, place, start, is_first=is_first)
        finally:
            if not kept:
                self._discard(started)
        facts = replace(facts, missing_protections=self.missing_protections(place))
        report = on_its_hardware(
            report_of_ending(facts, transcript, stop, ended, request.timeout_seconds), place.hardware
        )
        answered = Answered(report, stop, asked=transcript.asked > 0, over=transcript.over is not None)
        if kept:
            asked_next = (request.target, request.process)
            self._keep(Purpose(_key(request.target, start), request.bisection_id, asked_next), started)
        return answered

    def _discard(self, *gone: Started) -> None:
        for started in gone:
            started.session.discard()


def _ended(started: Started, stop: Stop) -> Exit | None:
    """Return how the process ended, if it ended without an answer."""
    if stop != "ended":
        return None
    over = started.transcript.over
    return Exit(over.code, over.signal, over.out_of_memory) if over else started.session.exit()


def killed_for_memory(counters: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes this machine's kernel has killed for lack of memory; 0 if unknown."""
    try:
        return sum(int(line.split()[1]) for line in counters.read_text().splitlines() if line.startswith("oom_kill "))
    except (OSError, ValueError, IndexError):
        return 0


def _key(target: Target, start: Start) -> str:
    """Return the key of the processes that can answer: how they must have been started."""
    harness = hashlib.sha256(start.harness_source.encode()).hexdigest()
    # All of the target: one release may be asked in several environments.
    place = (repr(target),)
    return "\0".join((*place, start.framework, harness, str(start.hash_seed), str(start.forks)))


def _facts(started: Started, place: Place, start: Start, *, is_first: bool) -> RunReport:
    """Return the parts of a run report that do not depend on the ending."""
    transcript = started.transcript
    ready = transcript.ready
    # Start and import count only for the first answer of a process, which waited for them.
    seconds = {"start": started.start_seconds if is_first else 0.0, "probe": transcript.probe_seconds}
    if ready:
        seconds["import"] = ready.import_seconds if is_first else 0.0
    return RunReport(
        "lost",
        output=transcript.output,
        image=place.image,
        python=(ready.python if ready else "") or place.environment.python,
        packages=_packages(place.environment, transcript),
        device=transcript.device or (ready.device if ready else ""),
        seconds=seconds,
        process=started.process,
        forked=bool(ready and ready.forks),
        hash_seed=start.hash_seed,
    )


def _packages(environment: ResolvedEnvironment, transcript: Transcript) -> dict[str, str]:
    """Return the packages of the lock; without a lock, the known packages and the loaded ones."""
    return {**({} if environment.lock else transcript.packages), **environment.packages}


def report_of_ending(
    facts: RunReport, transcript: Transcript, stop: Stop, ended: Exit | None, timeout_seconds: float
) -> RunReport:
    """Decide how a run ended, from the end of the conversation and the exit of the process."""
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
        "timed-out": ("timed-out", f"no answer within {timeout_seconds:g} s; stopped {step}"),
        "output-flood": ("output-flood", f"printed without end; stopped {step}"),
        "out-of-memory": ("out-of-memory", f"took more memory than it may; stopped {step}"),
    }
    ending, reason = reasons[stop]
    return replace(facts, ending=ending, reason=reason)


def on_its_hardware(report: RunReport, hardware: Hardware) -> RunReport:
    """Return the report; untestable if a run for an accelerator silently used the CPU."""
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

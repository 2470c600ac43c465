"""The one loop: load, plan, submit, append.

Every step starts from the store, so a coordinator that is killed at any moment loses at most the runs in flight; the
next one claims the bisection again and goes on from the observations that are there.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import structlog

from service.bisection.planner import NextRuns, PlannedRun
from service.coordination.answers import observation_event
from service.coordination.bridging import Bridging
from service.coordination.conclusion import DONE, INTERRUPTED, TAKEN_OVER, Finished, conclude, problem
from service.coordination.holding import LEASE_SECONDS, LOOK_SECONDS, Held, Holding
from service.coordination.intake import BisectionRequest, Case, Intake
from service.coordination.laboratory import Laboratory, Question
from service.coordination.patience import ATTEMPTS_AT_MOST, Patience, is_passing, patiently, pause_before_next
from service.coordination.progress import Listener, Progress, Silent
from service.coordination.session import STOP_SECONDS, Parts, Session, used_by
from service.coordination.turns import next_waiting
from service.coordination.workers import Seat, Workers
from service.errors import NoAnswer, NotFound, StoreError, TfbisectError
from service.storage.claims import new_owner
from service.storage.records import Bisection, Claim, Waiting
from service.storage.store import Store

log = structlog.get_logger()
T = TypeVar("T")


class Coordinator:
    """Claims queued bisections and runs them."""

    def __init__(
        self,
        store: Store,
        intake: Intake,
        laboratory: Laboratory,
        workers: Workers,
        holding: Holding,
        *,
        patience: Patience | None = None,
        after: Callable[[str], object] = lambda _bisection_id: None,
    ) -> None:
        """Make a coordinator.

        Args:
            store: where everything is.
            intake: makes requests ready.
            laboratory: answers questions.
            workers: how many runs go on at once, whichever bisection they are for.
            holding: keeps what is claimed.
            patience: with what is away.
            after: called with each bisection that has ended.
        """
        self._store = store
        self._intake = intake
        self._laboratory = laboratory
        self._workers = workers
        self._holding = holding
        self._patience = patience or Patience()
        self._after = after
        self._owner = new_owner("serve")
        """Of the next claim."""
        self._asked = False
        """The last request for a claim got no answer, so this owner may hold one."""

    def serve(self, stop: threading.Event) -> None:
        """Run queued bisections until told to stop, including those whose coordinator died."""
        at_work: list[threading.Thread] = []
        while not stop.is_set():
            at_work = [thread for thread in at_work if thread.is_alive()]
            taken = patiently(self._next, self._patience, stop, "look into the queue")
            if taken is None:
                stop.wait(LOOK_SECONDS)
                continue
            thread = threading.Thread(target=self._work_off, args=(*taken, stop), name=taken[0].bisection_id)
            at_work.append(thread)
            thread.start()
        for thread in at_work:
            thread.join(2 * STOP_SECONDS)

    def _next(self) -> tuple[Claim, Seat] | None:
        """Claim the queued bisection whose turn it is; None if there is none, or no worker for it."""
        # After a time without a database this process must not take its own work from itself.
        self._holding.renew_if_due()
        held, idle = self._workers.held(), self._workers.idle()
        known: dict[str, Waiting] = {}

        def choose(waiting: Sequence[Waiting]) -> str | None:
            known.update({one.bisection_id: one for one in waiting})
            free = [one for one in waiting if self._holding.may_take(one)]
            return next_waiting(free, held, self._workers.count, idle)

        is_retried, self._asked, owner = self._asked, True, self._owner
        chosen = self._store.claim(owner, LEASE_SECONDS, choose, is_retried=is_retried)
        self._asked = is_retried and chosen is None
        if chosen is None:
            return None
        self._owner = new_owner("serve")
        return Claim(chosen, owner), self._workers.join(known[chosen].submitter, nightly=known[chosen].nightly)

    def _work_off(self, claim: Claim, seat: Seat, stop: threading.Event) -> None:
        """Run one bisection; whatever happens in it must not stop the others."""
        try:
            self.run(claim, stop=stop, seat=seat)
        except Exception as error:
            if isinstance(error, TfbisectError):
                # Foreseen: its words say it all, and a stack would add nothing.
                log.error("bisection.failed", bisection=claim.bisection_id, reason=error.message)  # noqa: TRY400
            else:
                log.exception("bisection.failed", bisection=claim.bisection_id)
            try:
                patiently(partial(self.put_back, claim, error), self._patience, stop, "give a bisection back")
            except TfbisectError as second:
                # Its lease expires, and it is claimed again.
                log.warning("bisection.not_given_back", bisection=claim.bisection_id, reason=second.message)
        finally:
            self._workers.leave(seat)

    def run(
        self,
        claim: Claim,
        listener: Listener | None = None,
        stop: threading.Event | None = None,
        *,
        case: Case | None = None,
        reserved_for: str | None = None,
        seat: Seat | None = None,
        nightly: bool = False,
    ) -> Finished:
        """Run one bisection to its end and store how it ended.

        Args:
            claim: which one, and that it is held.
            listener: who watches.
            stop: set: stop soon and give it back to the queue.
            case: its request made ready, where that is known already.
            reserved_for: for whom it waits there; None: the next coordinator takes it.
            seat: its share of the workers; None: it gets one of its own.
            nightly: others come first.

        Raises:
            Unavailable: something around us is away for longer than anybody's patience; nothing was stored of it.
        """
        stop = stop or threading.Event()
        with ExitStack() as stack:
            # Renewed from the start: the database may take long to answer.
            held = stack.enter_context(self._holding.keep(claim))
            row = self._patiently(lambda: self._store.bisection(claim.bisection_id), stop, "read a bisection")
            place = seat or stack.enter_context(self._workers.seat(row.owner or "", nightly=nightly))
            held.last_event = row.last_event
            try:
                if row.attempts > ATTEMPTS_AT_MOST:
                    raise NoAnswer(given_up(row))
                held.is_cancelled = row.cancel_requested
                case = case or self._case(row, stop)
                finished = self._session(held, place, case, listener or Silent(), stop)
            except StoreError:
                raise
            except TfbisectError as error:
                gives_back = stop.is_set() and is_passing(error)
                finished = Finished(INTERRUPTED if gives_back else "failed", None, problem(error))
            self._patiently(lambda: self._close(held, finished, reserved_for), stop, "store how a bisection ended")
        return finished

    def _session(self, held: Held, seat: Seat, case: Case, listener: Listener, stop: threading.Event) -> Finished:
        """Go on from what is linked, until nothing is left to ask.

        Raises:
            NotFound: observations are deleted again and again before they can be linked.
        """
        parts = Parts(self._store, self._laboratory, self._patience)
        for attempt in range(1, ATTEMPTS_AT_MOST + 1):
            try:
                return Session(parts, held, seat, case, listener, stop).run()
            except NotFound as error:
                # Another bisection was deleted with an observation that this one was about to use: ask again.
                if attempt == ATTEMPTS_AT_MOST:
                    raise
                log.warning("bisection.begun_again", bisection=held.claim.bisection_id, reason=error.message)
        raise AssertionError("a loop of at least one attempt returns or raises")

    def _case(self, row: Bisection, stop: threading.Event) -> Case:
        def ready() -> Case:
            snippet = self._store.snippet(row.snippet_digest)
            return self._intake.case(BisectionRequest.model_validate({**row.request, "snippet": snippet}))

        return self._patiently(ready, stop, "make a request ready")

    def _close(self, held: Held, finished: Finished, reserved_for: str | None) -> None:
        """Store how a bisection ended, or give it back."""
        if finished.status == INTERRUPTED:
            self._store.requeue(held.claim, reserved_for=reserved_for)
        elif finished.status != TAKEN_OVER:
            self.finish(held.claim, finished)

    def measure(self, claim: Claim, questions: Iterable[Question], stop: threading.Event, *, submitter: str) -> None:
        """Answer questions of the nightly that its planner would not ask, one after the other.

        Args:
            claim: the bisection that rests on the answers.
            questions: what is asked.
            stop: set: ask no more.
            submitter: whose share of the workers they take.
        """
        with self._holding.keep(claim) as held, self._workers.seat(submitter, nightly=True) as seat:
            ended = threading.Event()
            for question in questions:
                future = None
                while future is None or not future.done():
                    if stop.is_set() or held.is_lost or held.is_cancelled:
                        ended.set()  # stops the run that is under way
                        if future is None:
                            return
                    if future is None:
                        seat.wants(1)
                        future = seat.submit(partial(self._laboratory.measure, question, ended))
                    seat.awake.wait(LOOK_SECONDS)
                    seat.awake.clear()
                if ended.is_set():
                    return
                used = used_by([future.result()])
                held.note(self._patiently(partial(self._store.record, claim, used), stop, "write down an answer"))

    def answer(self, claim: Claim, case: Case, recalled: Sequence[Progress]) -> Finished:
        """Close a bisection with stored observations: the same links and events as runs give, in few transactions."""
        measurements = [measurement for progress in recalled for measurement in progress.taken]
        told = [("observation", observation_event(each)) for each in measurements]
        self._store.record(claim, used_by(measurements), told)
        finished = conclude(case, claim.bisection_id, recalled, DONE)
        self.finish(claim, finished)
        return finished

    def finish(self, claim: Claim, finished: Finished) -> None:
        """Store how a bisection ended and notify the listeners."""
        ending = {"status": finished.status, "error": finished.error}
        if finished.status in {INTERRUPTED, TAKEN_OVER}:
            raise ValueError(f"{finished.status} is not an end of a bisection")
        told: list[tuple[str, Mapping[str, Any]]] = []
        if finished.verdict is not None:
            told.append(("verdict", finished.verdict))
        is_over = self._store.finish(
            claim.bisection_id,
            finished.status,
            finished.verdict,
            finished.error,
            owner=claim.owner,
            events=[*told, ("end", ending)],
        )
        if is_over:
            self._prepare(claim.bisection_id)

    def _prepare(self, bisection_id: str) -> None:
        """Render what readers will ask for; a failure here does not change how the bisection ended."""
        try:
            self._after(bisection_id)
        except TfbisectError as error:
            log.warning("bisection.not_prepared", bisection=bisection_id, reason=error.message)
        except Exception:
            log.exception("bisection.not_prepared", bisection=bisection_id)

    def put_back(self, claim: Claim, error: Exception) -> None:
        """Queue a failed bisection again after a pause, or close it with the reason after the last attempt."""
        row = self._store.bisection(claim.bisection_id)
        pause = pause_before_next(row.attempts, self._patience)
        if pause is None:
            self.finish(claim, Finished("failed", None, problem(NoAnswer(given_up(row, error)))))
            return
        progress = {"runs_done": 0, "runs_planned_at_least": 1, "current": [], **(row.progress or {})}
        self._store.put_back(claim, pause, {**progress, "current": [], "problem": _said(error)})

    def give_up(self, claim: Claim, error: Exception) -> None:
        """Close a bisection that failed for good."""
        self.finish(claim, Finished("failed", None, problem(NoAnswer(f"tfbisect failed: {_said(error)}"))))

    def recalled(self, case: Case) -> list[Progress] | None:
        """Return the stored observations of each track, or None if they do not answer the whole case."""
        tracks = [Progress(case, track) for track in case.tracks]
        if not all(self._recall_track(progress) for progress in tracks):
            return None
        return tracks if Bridging(self._laboratory, "", asks=False).recall(tracks) else None

    def _recall_track(self, progress: Progress) -> bool:
        """Load what is stored of one track; return whether the planner needs nothing else."""
        while isinstance(step := progress.step, NextRuns):
            before = progress.done
            for measurement in self._laboratory.recall(_questions(progress, (*step.runs, *step.then))):
                progress.add(measurement)
            if progress.done == before:
                return False
        return True

    def _patiently(self, work: Callable[[], T], stop: threading.Event, doing: str) -> T:
        return patiently(work, self._patience, stop, doing)


def given_up(row: Bisection, error: Exception | None = None) -> str:
    """Say why a bisection is not tried again."""
    reason = _said(error) if error else (row.progress or {}).get("problem")
    said = reason or "its coordinator ended in the middle without a word: killed, or out of memory"
    return f"given up after {ATTEMPTS_AT_MOST} attempts that got no further; the last one: {said}."


def _said(error: Exception) -> str:
    """Return an error as text that fits into a message."""
    text = error.message if isinstance(error, TfbisectError) else f"{type(error).__name__}: {error}"
    return text[:500].rstrip(".")


def _questions(progress: Progress, runs: Iterable[PlannedRun]) -> Iterator[Question]:
    """Return the questions of planned runs, numbered on per release."""
    asked: Counter[str] = Counter()
    for run in runs:
        repeat = progress.next_repeat(run.release) + asked[run.release]
        yield Question(progress.case, progress.track, run.release, repeat)
        asked[run.release] += 1

"""One pass over all watches: look, run what is new, compare, store, notify.

Every step is kept before the next one begins, so a pass that is killed is finished by the next: what it kept is not
done again, and the bisection that it was in the middle of goes on from its observations.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from threading import Timer
from typing import Any, Protocol

import structlog

from service.catalog.releases import CatalogRelease
from service.catalog.targets import Target
from service.clock import Clock, utc_now
from service.coordination.intake import BisectionRequest, Case
from service.errors import BadInput, StoreError, TfbisectError
from service.json_text import digest_of
from service.nightly.nights import (
    News,
    Row,
    SeenRelease,
    Summary,
    VerdictDifference,
    difference,
    difference_words,
    due_again,
    is_blind,
    must_be_told,
    news,
    status_of,
)
from service.nightly.notifications import messages_for
from service.nightly.repetition import Again
from service.nightly.watches import request_of
from service.secret_urls import without_credentials
from service.storage.claims import new_owner
from service.storage.records import FINISHED, Bisection
from service.storage.store import Store
from service.storage.watch_records import NewWatch, NewWatchRun, Watch, WatchRun

LEASE_NAME = "nightly"
LEASE_SECONDS = 120.0
_RENEW_SECONDS = 30.0
_NIGHTS_LOOKED_BACK = 365
LATER_FIELDS = frozenset({"with"})
"""Fields of a request that are newer than the first watches."""
_LISTEN_SECONDS = 0.1  # between two checks of the caller's event while waiting

log = structlog.get_logger()
ReleasesOf = Callable[[str], Sequence[CatalogRelease]]


@dataclass(frozen=True)
class Links:
    """Where readers of a message find more."""

    public_url: str = ""
    """Address of the web service; empty: messages carry no links."""


class Repeats(Protocol):
    """What runs a watched bisection again; see service.nightly.repetition."""

    def case(self, request: BisectionRequest) -> Case:
        """Make a request ready."""

    def environment(self, target: Target) -> str:
        """Return the digest of what a release would run in today."""

    def run(self, again: Again, stop: threading.Event) -> Bisection:
        """Run a bisection to its end, or until told to stop."""

    def drop_left_ones(self) -> None:
        """Cancel what earlier passes left and nobody needs."""


class Sends(Protocol):
    """What delivers messages; see service.nightly.notifications."""

    def deliver(self, patience_seconds: float) -> Mapping[str, int]:
        """Deliver what is due and count messages by status."""


@dataclass(frozen=True)
class Budget:
    """What one pass may spend; watches that it does not reach come first in the next pass."""

    seconds: float = 6 * 3600.0
    disk_bytes: int | None = None
    free_bytes: Callable[[], int] | None = None
    """Free disk now; needed for `disk_bytes`."""
    patience_seconds: float = 40.0
    """How long the end of a pass waits for retries."""


@dataclass(frozen=True)
class Looked:
    """What was known before a bisection ran."""

    case: Case
    last: WatchRun | None
    """The last night, with or without a verdict."""
    told: WatchRun | None
    """The last night with a verdict."""
    found: News
    now: Mapping[str, SeenRelease]


class PassStop(threading.Event):
    """Ends one pass: set by the pass itself, or because its caller ends.

    The caller's event is only listened to. `tfbisect serve` gives the same one to every pass, so a pass that set it
    would leave all later ones nothing to do.
    """

    def __init__(self, caller: threading.Event | None) -> None:
        super().__init__()
        self._caller = caller or threading.Event()
        self.is_spent = False
        """Ended because its time was spent, not interrupted."""

    def is_set(self) -> bool:
        return super().is_set() or self._caller.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the pass, or this many seconds; return whether the pass must end."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _LISTEN_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                return False
            super().wait(min(left, _LISTEN_SECONDS))
        return True

    def spend(self) -> None:
        """End the pass because its time is spent."""
        self.is_spent = True
        self.set()


class Nightly:
    """Makes passes."""

    def __init__(
        self,
        store: Store,
        releases_of: ReleasesOf,
        repeats: Repeats,
        sends: Sends,
        *,
        clock: Clock = utc_now,
        budget: Budget | None = None,
        links: Links | None = None,
    ) -> None:
        self._store = store
        self._releases_of = releases_of
        self._repeats = repeats
        self._sends = sends
        self._now = clock
        self._budget = budget or Budget()
        self._links = links or Links()

    def run(
        self,
        files: Sequence[NewWatch] = (),
        problems: Sequence[BadInput] = (),
        stop: threading.Event | None = None,
    ) -> Summary:
        """Make one pass.

        Args:
            files: watches that files describe; they are kept first.
            problems: files that cannot be used; each counts as a watch that failed.
            stop: set: end soon; the next pass finishes this one.
        """
        owner = new_owner("nightly")
        own = PassStop(stop)
        with self._only_pass(owner, own) as holder:
            if holder != owner:
                return Summary("", busy=holder)
            return self._pass(files, problems, own)

    @contextmanager
    def _only_pass(self, owner: str, stop: threading.Event) -> Iterator[str]:
        """Try to hold the lease of the pass; the value names the holder, which may be another one."""
        if not self._store.acquire_lease(LEASE_NAME, owner, LEASE_SECONDS):
            yield self._store.lease_holder(LEASE_NAME) or "just ended"
            return
        over = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(owner, over, stop), name="nightly lease", daemon=True)
        renewing.start()
        try:
            yield owner
        finally:
            over.set()
            renewing.join()
            self._store.release_lease(LEASE_NAME, owner)

    def _renew(self, owner: str, over: threading.Event, stop: threading.Event) -> None:
        """Renew the lease of the pass; end the pass if another one has the lease, because this machine slept."""
        while not over.wait(_RENEW_SECONDS):
            try:
                if not self._store.acquire_lease(LEASE_NAME, owner, LEASE_SECONDS):
                    stop.set()
            except StoreError as error:
                log.warning("nightly.lease_not_renewed", reason=error.message)

    def _pass(self, files: Sequence[NewWatch], problems: Sequence[BadInput], stop: PassStop) -> Summary:
        rows = [Row("watch file", "", "failed", problem.message) for problem in problems]
        rows += [row for new in files if (row := self._keep(new)) is not None]
        this = self._store.open_pass()
        done = {(run.watch_id, run.package): run for run in self._store.runs_of_pass(this.id)}
        postponed: list[str] = []
        with self._deadline(stop):
            for watch, package in self._order():
                name = str(package["package"])
                run = done.get((watch.id, name)) or self._one(this.id, watch, package, stop)
                if run is None:
                    postponed.append(f"{watch.name} · {name}")
                else:
                    rows.append(self._row(watch, run))
        if stop.is_set() and not stop.is_spent:
            return Summary(this.id, tuple(rows), interrupted=True)
        if not postponed:
            self._repeats.drop_left_ones()
        counts = self._sends.deliver(self._budget.patience_seconds)
        summary = Summary(this.id, tuple(rows), tuple(postponed), messages=counts)
        self._store.finish_pass(this.id, summary.as_json())
        return summary

    def _keep(self, new: NewWatch) -> Row | None:
        """Store the watch of a file; an error row if its name is taken."""
        try:
            self._store.put_watch(new)
        except BadInput as error:
            return Row(new.name, "", "failed", error.message)
        return None

    @contextmanager
    def _deadline(self, stop: PassStop) -> Iterator[None]:
        """End the pass when its time is spent."""
        timer = Timer(self._budget.seconds, stop.spend)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _order(self) -> list[tuple[Watch, Mapping[str, Any]]]:
        """Return what there is to do, those first that have waited longest."""
        todo = [(watch, package) for watch in self._store.watches() for package in watch.packages]
        return sorted(todo, key=lambda one: self._last_night(one[0], str(one[1]["package"])))

    def _last_night(self, watch: Watch, package: str) -> str:
        return next((run.id for run in self._store.recent_runs(watch.id, package, 1)), "")

    def _one(self, pass_id: str, watch: Watch, package: Mapping[str, Any], stop: threading.Event) -> WatchRun | None:
        """Do one package of a watch, catching its errors; None if the budget does not reach it."""
        if stop.is_set() or self._disk_is_spent():
            return None
        name = str(package["package"])
        try:
            found = self._look(pass_id, watch, package, stop)
            return None if found is None else self._tell(watch, found)
        except TfbisectError as error:
            message = error.message
            log.warning("nightly.watch_failed", watch=watch.name, package=name, reason=message)
        except Exception as error:
            # One watch must not stop the others; its error is stored and shown.
            message = without_credentials(f"{type(error).__name__}: {error}")
            log.exception("nightly.watch_failed", watch=watch.name, package=name)
        return self._tell(watch, NewWatchRun(watch.id, pass_id, name, "failed", {}, message=message))

    def _disk_is_spent(self) -> bool:
        budget = self._budget
        if budget.disk_bytes is None or budget.free_bytes is None:
            return False
        return budget.free_bytes() < budget.disk_bytes

    def _look(
        self, pass_id: str, watch: Watch, package: Mapping[str, Any], stop: threading.Event
    ) -> NewWatchRun | None:
        """Look for news, run if there are any, compare."""
        name = str(package["package"])
        catalog = {release.version: release for release in self._releases_of(name)}
        case = self._repeats.case(request_of(watch, package, self._store.snippet(watch.snippet_digest)))
        last = next(iter(self._store.recent_runs(watch.id, name, 1)), None)
        told = self._told(watch, name, case)
        before = {
            release: SeenRelease(**sighting) for release, sighting in (told.seen["releases"] if told else {}).items()
        }
        now = self._sightings(case, catalog, before)
        found = news(before, now)
        if told is not None and not due_again(last.status if last else None, found):
            return NewWatchRun(
                watch.id, pass_id, name, "unchanged", told.seen, told.bisection_id, message="nothing new"
            )
        looked = Looked(case, last, told, found, now)
        bisection = self._repeats.run(self._again(watch, looked), stop)
        return self._compare(pass_id, watch, looked, bisection)

    def _told(self, watch: Watch, package: str, case: Case) -> WatchRun | None:
        """Return the last night with a verdict on the same question; an edited file is another question."""
        told = self._store.last_verdict_run(watch.id, package)
        return told if told is not None and told.seen.get("question") == question_of(case) else None

    def _sightings(
        self, case: Case, catalog: Mapping[str, CatalogRelease], before: Mapping[str, SeenRelease]
    ) -> dict[str, SeenRelease]:
        """Return the releases of the range as they are now, and the state of those that were in it before."""
        return {
            release: self._sighting(case, catalog.get(release), release, before.get(release))
            for release in dict.fromkeys((*case.tree.all(), *before))
        }

    def _sighting(
        self, case: Case, release: CatalogRelease | None, version: str, before: SeenRelease | None
    ) -> SeenRelease:
        if release is None or release.gone:
            return SeenRelease(gone=True)
        had_one = before is not None and before.environment
        environment = self._repeats.environment(case.target(version)) if had_one else ""
        return SeenRelease(yanked=release.yanked, environment=environment)

    def _again(self, watch: Watch, looked: Looked) -> Again:
        """Return which bisection to run. Its key depends on the last night and the current state, not on the pass."""
        seen = {release: asdict(sighting) for release, sighting in looked.now.items()}
        last, told = looked.last, looked.told
        return Again(
            case=looked.case,
            key=digest_of([watch.id, looked.case.request.package, last.id if last else None, seen]),
            previous=told.bisection_id if told else None,
            new_releases=looked.found.appeared if told else (),
            public=watch.public,
            owner=watch.owner,
        )

    def _compare(
        self,
        pass_id: str,
        watch: Watch,
        looked: Looked,
        bisection: Bisection,
    ) -> NewWatchRun | None:
        """Return the result of a bisection for its watch; None if it was stopped in the middle."""
        case = looked.case
        package = case.request.package
        if bisection.status not in FINISHED:
            return None
        if bisection.status == "cancelled" or bisection.verdict is None:
            error = bisection.error or {}
            message = str(error.get("detail", f"the bisection was {bisection.status}"))
            return NewWatchRun(watch.id, pass_id, package, "failed", {}, bisection.id, message=message)
        before = looked.told.verdict if looked.told else None
        differs = None if before is None else difference(before, bisection.verdict, case.tree.all())
        status = status_of(before, differs, blind=is_blind(bisection.verdict, case.tree.mainline[-1]))
        # The next night cannot be compared with a night without outcomes.
        kept = bisection.verdict if bisection.verdict.get("segments") else None
        return NewWatchRun(
            watch_id=watch.id,
            pass_id=pass_id,
            package=package,
            status=status,
            seen=self._seen_in(bisection.id, looked) if kept else {},
            bisection_id=bisection.id,
            verdict=kept,
            difference=asdict(differs) if differs and status == "changed" else None,
            message=_message(status, differs, looked, bisection),
        )

    def _seen_in(self, bisection_id: str, looked: Looked) -> dict[str, Any]:
        """Return what the next night compares with: the question, and each release with its environment."""
        used = [linked.observation.identity for linked in self._store.linked_observations(bisection_id)]
        environments = {identity.release: identity.environment for identity in used}
        releases = {
            release: asdict(replace(looked.now[release], environment=environments.get(release, "")))
            for release in looked.case.tree.all()
        }
        return {"question": question_of(looked.case), "releases": releases}

    def _tell(self, watch: Watch, found: NewWatchRun) -> WatchRun:
        """Store the result together with its messages."""
        before = self._store.recent_runs(watch.id, found.package, _NIGHTS_LOOKED_BACK)
        event = must_be_told(found.status, [run.status for run in before], watch.blind_after)
        messages = () if event is None else messages_for(event, watch, found, self._links.public_url, self._now())
        return self._store.add_watch_run(found, messages)

    def _row(self, watch: Watch, run: WatchRun) -> Row:
        executed = (run.verdict or {}).get("runs", {}).get("executed", 0)
        return Row(watch.name, run.package, run.status, run.message, run.bisection_id, int(executed))


def question_of(case: Case) -> str:
    """Return a digest of what a watch asks, its releases aside: the request, and every probe that answers it."""
    asked = case.request.model_dump(mode="json", exclude={"releases", "fresh", "watch"})
    # A watch asks what it asked before there were these fields.
    asked = {name: value for name, value in asked.items() if name not in LATER_FIELDS or value}
    return digest_of([asked, *dict.fromkeys(track.probe.digest for track in case.tracks)])


def _message(status: str, differs: VerdictDifference | None, looked: Looked, bisection: Bisection) -> str:
    verdict = bisection.verdict or {}
    if status == "changed" and differs:
        return difference_words(differs)
    said = [looked.found.words(), str(verdict.get("summary", ""))]
    if status == "blind":
        said.insert(1, _no_answer(looked.case.tree.mainline[-1], verdict))
    return "; ".join(filter(None, said))


def _no_answer(release: str, verdict: Mapping[str, Any]) -> str:
    """Return which release has no result, and the reason if it is known."""
    reasons = {str(one["release"]): str(one["reason"]) for one in verdict.get("untestable", ())}
    return f"{release} gave no result" + (f" ({reasons[release]})" if reasons.get(release) else "")

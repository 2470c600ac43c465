"""Nights of September 2018 lived again: real wheels by an index on loopback, real containers, a real receiver."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from service.bisection.outcomes import RunReport
from service.bootstrap import House
from service.clock import utc_now
from service.errors import NoRunner
from service.execution.docker_engine import connect
from service.execution.hardening import OWNER_LABEL
from service.execution.runner import RunRequest
from service.images.docker_images import DockerImages
from service.images.shelf import LABEL
from service.nightly.nights import Row, Summary
from service.settings import Settings
from service.storage.engine import make_engine, transaction
from service.storage.store import Store
from service.storage.tables import observations
from tests.nightly.relived_index import Clock, RelivedIndex, relived_index
from tests.nightly.world import SECRET, Site, served_site

pytestmark = [pytest.mark.containers, pytest.mark.index]

TUTORIAL = Path(__file__).parents[2] / "examples" / "dropout_tutorial.py"
WATCH = """snippet = "{snippet}"
probe = "dropout"
releases = "1.9.."
[[notify]]
channel = "webhook"
target = "{address}/hook"
"""
FIRST_NIGHT = datetime(2018, 9, 25, 3, 30, tzinfo=UTC)
# Not when it really came: another upload is another environment, whose image nobody has built before.
UPLOAD = FIRST_NIGHT + timedelta(hours=9)


@pytest.fixture(autouse=True, scope="module")
def engine() -> None:
    try:
        connect().close()
    except NoRunner as error:
        pytest.skip(error.message)


@pytest.fixture(scope="module")
def served() -> Iterator[RelivedIndex]:
    """One index for all tests: what uv has from an address is not fetched again."""
    with relived_index("tensorflow", Clock(FIRST_NIGHT)) as index:
        index.uploads["1.11.0"] = UPLOAD
        yield index


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture
def index(served: RelivedIndex) -> RelivedIndex:
    served.clock.moment = FIRST_NIGHT
    served.yanked.clear()
    return served


@pytest.fixture
def clock(index: RelivedIndex) -> Clock:
    return index.clock


@pytest.fixture
def site() -> Iterator[Site]:
    with served_site() as served:
        yield served


@pytest.fixture
def settings(tmp_path: Path, downloads: Path, index: RelivedIndex, site: Site) -> Settings:
    watches, place = tmp_path / "watches", tmp_path / "data"
    watches.mkdir()
    place.mkdir()
    (watches / "tutorial.toml").write_text(WATCH.format(snippet=TUTORIAL, address=site.address))
    return Settings(
        data_dir=place,
        cache_dir=downloads,
        index_url=index.url,
        runner="docker",
        confirmations=2,
        watches_dir=watches,
        webhook_secret=SECRET,
    )


@pytest.fixture(autouse=True)
def the_image_of_this_upload_goes() -> Iterator[None]:
    """Remove the one image that no other test can use, also where an earlier run left it."""
    _remove_image()
    yield
    _remove_image()


def _remove_image() -> None:
    with closing(connect()) as client:
        images = DockerImages(client)
        for image in images.labelled(f"{LABEL}cutoff={(UPLOAD + timedelta(days=7)).isoformat()}"):
            for reference in image.references:
                images.remove(reference)


class WatchedHouse(House):
    """The real house; it only notes which releases it ran."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock=clock)
        self.ran: list[str] = []

    def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        self.ran.append(request.target.release)
        return super().execute(request, cancelled)


def night(settings: Settings, clock: Clock) -> tuple[Summary, list[str]]:
    """Make the pass of a night as cron does, in a house that is opened for it, and sleep until the next."""
    house = WatchedHouse(settings, clock)
    try:
        return house.make_pass(), house.ran
    finally:
        house.close()
        clock.sleep_until_next_night()


def only_row(summary: Summary) -> Row:
    (row,) = summary.rows
    return row


def genuine(headers: dict[str, str], body: bytes) -> bool:
    """Verify a webhook as docs/nightly.md tells a receiver to."""
    timestamp, _, given = headers["X-Tfbisect-Signature"].removeprefix("t=").partition(",v1=")
    expected = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, given)


def test_the_release_in_which_dropout_stopped_dropping_is_told_on_the_first_morning_and_never_again(
    settings: Settings, clock: Clock, index: RelivedIndex, site: Site
) -> None:
    before, ran = night(settings, clock)
    assert only_row(before).status == "first", only_row(before).message
    assert set(ran) == {"1.9.0", "1.10.0"}
    assert site.received == []

    told, ran = night(settings, clock)
    assert (told.exit_code, only_row(told).status) == (10, "changed"), only_row(told).message
    assert "introduced in 1.11.0: drops in 1.10.0, never-drops in 1.11.0" in only_row(told).message
    assert {"1.11.0"} <= set(ran) <= {"1.10.0", "1.10.1", "1.11.0"}
    assert "tensorflow-1.11.0-cp36-cp36m-manylinux1_x86_64.whl" in index.fetched
    ((headers, body),) = site.received
    assert genuine(headers, body)
    assert not genuine(headers, body.replace(b"1.11.0", b"1.12.0"))
    message = json.loads(body)
    assert message["event"] == "verdict.changed"
    assert message["at"].startswith("2018-09-26T03:30")
    assert [change["after"] for change in message["difference"]["appeared"]] == ["1.11.0"]
    assert message["verdict"]["runner"] == "docker"

    quiet, ran = night(settings, clock)
    assert (quiet.exit_code, only_row(quiet).message, ran) == (0, "nothing new", [])
    assert len(site.received) == 1

    index.yanked.add("1.11.0")
    yanked, ran = night(settings, clock)
    assert (yanked.exit_code, ran) == (10, [])
    assert "newest release now gives drops, before it gave never-drops" in only_row(yanked).message


def test_a_pass_that_is_killed_is_finished_the_next_night_and_its_containers_are_gone(
    settings: Settings,
) -> None:
    Store.open(settings.store_url.reveal()).close()
    killed = _killed_pass(settings)
    stored = _observations(settings)
    assert stored

    summary, ran = night(settings, Clock(utc_now() + timedelta(days=1)))
    assert only_row(summary).status == "first", only_row(summary).message
    after = _observations(settings)
    assert after[: len(stored)] == stored
    # What had an answer was not asked again: every run of this night gave a new observation.
    assert len(after) == len(stored) + len(ran)
    assert _containers_of(killed) == []


def _killed_pass(settings: Settings) -> int:
    """Start `tfbisect nightly`, kill it -9 once it has stored an answer; return its process id."""
    variables = {
        "TFBISECT_DATA_DIR": str(settings.data_dir),
        "TFBISECT_CACHE_DIR": str(settings.cache_dir),
        "TFBISECT_INDEX_URL": settings.index_url.reveal(),
        "TFBISECT_WATCHES_DIR": str(settings.watches_dir),
        "TFBISECT_RUNNER": "docker",
        "TFBISECT_PARALLEL": "1",
    }
    command = [sys.executable, "-m", "service", "nightly"]
    with subprocess.Popen(command, env={**os.environ, **variables}, start_new_session=True) as begun:
        try:
            while not _observations(settings):
                assert begun.poll() is None, "the pass ended before it could be killed"
                time.sleep(0.2)
        finally:
            os.killpg(begun.pid, signal.SIGKILL)
    return begun.pid


def _observations(settings: Settings) -> list[str]:
    """Return the stored observations, oldest first."""
    engine = make_engine(settings.store_url.reveal())
    try:
        with transaction(engine, writes=False) as connection:
            return [str(one) for one in connection.scalars(select(observations.c.id).order_by(observations.c.id))]
    finally:
        engine.dispose()


def _containers_of(process: int) -> list[str]:
    """Return the containers of a process that are left."""
    client = connect()
    try:
        found = client.containers.list(all=True)
        owners = [str(container.labels.get(OWNER_LABEL, "")) for container in found]
        return [owner for owner in owners if f"/{process}/" in owner]
    finally:
        client.close()

"""Containers of runs: what they cost the engine, who may remove them, what a dying engine makes of a run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import docker
import pytest

from service.bisection.outcomes import Lost, Outcome, RunReport, classify
from service.errors import DiskFull, EngineLost, NoRunner, NotInstallable
from service.execution import owners
from service.execution.channel import Transcript
from service.execution.docker_engine import connect, orders_to_end
from service.execution.docker_runner import MOST_READS, ContainerSession, Demultiplexer, DockerRunner, container_name
from service.execution.hardening import EXPIRES_LABEL, OWNER_LABEL, RUN_LABEL
from service.execution.owners import is_orphan, labels_of_run, owner_of
from service.execution.runner import RunRequest
from service.execution.sessions import Waits
from tests.execution.conftest import (
    HARNESS,
    PROBE,
    TARGET,
    OneImage,
    Stage,
    docker_runner,
    end_container,
    running_container,
)

REQUEST = RunRequest("request", TARGET, HARNESS, PROBE, "", "x = 1")
NEVER = threading.Event()


def own_containers(engine: Any) -> list[str]:
    mine = f"{OWNER_LABEL}={owner_of(os.getpid())}"
    return [str(row["Id"]) for row in engine.api.containers(all=True, filters={"label": mine})]


@pytest.fixture
def runner(engine: Any, python_image: str) -> Iterator[DockerRunner]:
    made = docker_runner(engine, python_image, waits=Waits(2))
    yield made
    made.close()


@pytest.mark.containers
def test_a_report_says_what_ran_and_how_long_each_step_took(runner: DockerRunner, python_image: str) -> None:
    report = runner.run(REQUEST, NEVER)
    assert (report.ending, report.runner, report.image) == ("answered", "docker", python_image)
    assert report.python.count(".") == 2
    assert report.device == "cpu"
    assert set(report.seconds) == {"prepare", "start", "import", "probe", "total"}
    assert report.seconds["total"] >= report.seconds["start"] > 0


@pytest.mark.containers
def test_no_container_is_left_whatever_happened_in_it(engine: Any, python_image: str) -> None:
    runner = docker_runner(engine, python_image, waits=Waits(2))
    runner.warm(TARGET, "")
    for snippet in ("x = 1", "import os; os._exit(1)", "while True: pass"):
        runner.run(replace(REQUEST, snippet=snippet, timeout_seconds=1), NEVER)
    runner.warm(TARGET, "")
    runner.close()
    assert own_containers(engine) == []


@pytest.mark.containers
def test_a_warm_container_is_taken_by_the_run_and_gives_the_same_answer(engine: Any, python_image: str) -> None:
    runner = docker_runner(engine, python_image, waits=Waits(1))
    runner.warm(TARGET, "")
    waiting = own_containers(engine)
    assert len(waiting) == 1
    report = runner.run(REQUEST, NEVER)
    assert report.result == {"kind": "measured", "measurements": {"x": 1}}
    runner.close()
    assert own_containers(engine) == []
    assert waiting != []


@pytest.mark.containers
def test_a_warm_container_that_died_meanwhile_is_replaced_by_a_cold_one(runner: DockerRunner, engine: Any) -> None:
    runner.warm(TARGET, "no_such_framework")  # ends at once, since its import fails
    runner.warm(TARGET, "")
    for container in own_containers(engine):
        if engine.api.inspect_container(container)["State"]["Running"]:
            engine.api.kill(container)
    assert runner.run(REQUEST, NEVER).ending == "answered"


@pytest.mark.containers
def test_what_the_engine_could_not_remove_is_removed_later_and_nobody_waits_for_it(
    engine: Any, python_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = docker_runner(engine, python_image)
    remove = runner._api.remove_container
    refused: list[str] = []

    def at_first_not(container: str, **options: Any) -> None:
        if len(refused) < 2:
            refused.append(container)
            raise ConnectionError("the engine restarts")
        remove(container, **options)

    monkeypatch.setattr(runner._api, "remove_container", at_first_not)
    assert runner.run(REQUEST, NEVER).ending == "answered"
    runner.close()
    assert len(refused) == 2
    assert own_containers(engine) == []


@pytest.mark.containers
def test_two_runs_never_share_a_user(runner: DockerRunner, engine: Any) -> None:
    for framework in ("json", "decimal"):
        runner.warm(TARGET, framework)
    users = {engine.api.inspect_container(each)["Config"]["User"] for each in own_containers(engine)}
    assert len(users) == 2


@pytest.mark.containers
def test_no_more_containers_wait_than_there_are_slots(runner: DockerRunner, engine: Any) -> None:
    for framework in ("json", "decimal", "email"):
        runner.warm(TARGET, framework)
    assert runner._removals.wait(60)
    assert len(own_containers(engine)) == 2


@pytest.mark.containers
def test_a_framework_that_cannot_be_imported_is_untestable_with_the_reason(runner: DockerRunner) -> None:
    report = runner.run(replace(REQUEST, framework="no_such_framework"), NEVER)
    assert report.result is not None
    assert report.result["kind"] == "untestable"
    assert "no_such_framework" in report.result["message"]


@pytest.mark.containers
def test_containers_of_a_process_that_is_gone_are_removed_and_those_of_a_living_one_stay(
    engine: Any, python_image: str
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    dead_owner = owner_of(gone.pid)
    gone.wait()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        orphan = _waiting_container(engine, python_image, dead_owner)
        living = _waiting_container(engine, python_image, owner_of(other.pid))
        try:
            docker_runner(engine, python_image).close()
            left = {row["Id"] for row in engine.api.containers(all=True)}
            assert orphan not in left
            assert living in left
        finally:
            engine.api.remove_container(living, force=True)
            other.communicate(b"\n")


def _waiting_container(engine: Any, image: str, owner: str) -> str:
    labels = {RUN_LABEL: "test", OWNER_LABEL: owner, EXPIRES_LABEL: str(int(time.time()) + 60)}
    created = engine.api.create_container(image, ["sleep", "60"], labels=labels)
    engine.api.start(created["Id"])
    return str(created["Id"])


@pytest.mark.containers
def test_an_image_that_is_gone_is_lost_and_not_the_releases_fault(engine: Any) -> None:
    runner = docker_runner(engine, "tfbisect/no-such-image:1")
    report = runner.run(REQUEST, NEVER)
    runner.close()
    assert report.ending == "lost"
    assert "no-such-image" in report.reason


@pytest.mark.containers
@pytest.mark.parametrize("how", ["remove", "kill", "stop"])
def test_a_run_whose_container_somebody_ended_is_lost(engine: Any, runner: DockerRunner, how: str) -> None:
    snippet = replace(REQUEST, run_id=uuid.uuid4().hex, snippet="import time; time.sleep(60)")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(runner.run, snippet, NEVER)
        end_container(engine.api, how, running_container(engine.api, snippet.run_id))
        report = run.result(90)
    assert type(classify(report, lambda _: Outcome("measured"))) is Lost


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [(200, b"", False), (200, b'{"Action": "kill"}', True), (403, b'{"message": "no"}', None), (500, b"", None)],
)
def test_an_engine_that_refuses_to_tell_is_not_read_as_one_that_says_no(
    status: int, body: bytes, told: bool | None
) -> None:
    class Engine(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever).start()
        api = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41")
        try:
            assert orders_to_end(api, "abc", 1) is told
        finally:
            api.close()
            server.shutdown()


@pytest.mark.containers
def test_runs_at_the_same_time_do_not_see_each_other(docker_stage: Stage) -> None:
    reports: dict[int, RunReport] = {}

    def run(number: int) -> None:
        reports[number] = docker_stage.run(f"x = {number}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = {number: (report.result or {}).get("measurements") for number, report in reports.items()}
    assert answers == {number: {"x": number} for number in range(4)}


@pytest.mark.containers
def test_each_run_counts_as_a_use_of_its_image_though_it_is_made_once(engine: Any, python_image: str) -> None:
    made, used = [], []

    class Counting(OneImage):
        def ensure(self, environment: object) -> OneImage:
            made.append(environment)
            return self

        def used(self, environment: object) -> None:
            used.append(environment)

    runner = docker_runner(engine, python_image)
    runner._images = Counting(python_image)
    answers = [runner.run(REQUEST, NEVER).ending for _ in range(3)]
    runner.close()
    assert answers == ["answered"] * 3
    assert (len(made), len(used)) == (1, 3)


def test_no_engine_is_said_with_the_place_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(NoRunner, match=r"unix:///nowhere/docker.sock.*start Docker.*--runner local"):
        connect()


class _DeadEngine:
    """An engine that described itself and then went away."""

    class api:  # noqa: N801 - the client's own name
        @staticmethod
        def containers(**_: object) -> list[object]:
            return []

        @staticmethod
        def create_container_from_config(*_: object) -> object:
            raise ConnectionRefusedError("gone")

    @staticmethod
    def info() -> dict[str, object]:
        return {}


def test_an_engine_that_goes_away_makes_a_run_lost() -> None:
    runner = docker_runner(_DeadEngine, "image")
    report = runner.run(REQUEST, NEVER)
    runner.close()
    assert report.ending == "lost"
    assert report.reason.startswith("the engine could not start a container: gone; look with `docker info`")


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (NotInstallable("its wheel is gone"), "unprepared"),
        (EngineLost("gone"), "lost"),
        (DiskFull("the engine's disk is full"), "lost"),
    ],
)
def test_a_release_that_cannot_be_prepared_says_why(error: Exception, ending: str) -> None:
    class Failing(OneImage):
        def ensure(self, environment: object) -> OneImage:
            raise error

    runner = docker_runner(_DeadEngine, "image")
    runner._images = Failing("image")
    report = runner.run(REQUEST, NEVER)
    runner.close()
    assert (report.ending, report.reason, report.hopeless) == (ending, str(error), isinstance(error, DiskFull))


@pytest.mark.parametrize(
    ("labels", "orphan"),
    [
        ({}, False),
        # Made when the tests are collected, and read when their turn comes.
        (labels_of_run(24 * 3600), False),
        ({OWNER_LABEL: owner_of(os.getpid()).rpartition("/")[0] + "/1"}, True),
        ({OWNER_LABEL: "other-kernel/pid:[1]/1/1", EXPIRES_LABEL: "1e12"}, False),
        ({OWNER_LABEL: "other-kernel/pid:[1]/1/1", EXPIRES_LABEL: "1"}, True),
        ({OWNER_LABEL: owner_of(os.getpid()), EXPIRES_LABEL: "nonsense"}, True),
    ],
)
def test_a_container_is_an_orphan_when_its_process_is_gone_or_its_time_long_over(
    labels: dict[str, str], orphan: bool
) -> None:
    assert is_orphan(labels, time.time()) is orphan


def test_a_process_that_is_hidden_from_us_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc hides others' processes, no file of theirs is found, and only a signal is refused."""

    def refuse(*_: int) -> None:
        raise PermissionError

    labels = labels_of_run(60)
    monkeypatch.setattr(owners, "_started_at", lambda _: "")
    monkeypatch.setattr(os, "kill", refuse)
    assert not is_orphan(labels, time.time())


def test_a_repeated_run_gets_a_container_name_of_its_own() -> None:
    names = {container_name("01J/../x y") for _ in range(10)}
    assert len(names) == 10
    assert all(name.startswith("tfbisect-run-01J-..-x-y-") for name in names)


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_frames_are_put_together_however_they_are_cut(size: int) -> None:
    stream = b"\x02\0\0\0\0\0\0\x05hello" + b"\x01\0\0\0\0\0\0\x02{}" + b"\x02\0\0\0\0\0\0\x06 world"
    transcript, frames = Transcript(output_bytes=100, flood_bytes=1000), Demultiplexer()
    for start in range(0, len(stream), size):
        frames.feed(stream[start : start + size], transcript)
    assert transcript.output == "hello world"
    assert bytes(transcript._line) == b"{}"


def test_frames_without_end_do_not_keep_a_conversation_from_its_clock() -> None:
    class Endless:
        """A socket that always has more."""

        reads = 0

        def recv(self, _: int) -> bytes:
            self.reads += 1
            return (b"\x01\0\0\0\0\0\0\x01\n") * 1000

        def setblocking(self, _: bool) -> None:
            """Never blocks."""

        def fileno(self) -> int:
            return 0

        def close(self) -> None:
            """Nothing to close."""

    channel = Endless()
    session = ContainerSession(None, "container", channel, lambda: None)
    assert session.receive(0, Transcript(output_bytes=100, flood_bytes=1 << 30))
    session.discard()
    assert channel.reads <= MOST_READS


def test_a_flood_of_tiny_frames_counts_by_what_the_engine_sent() -> None:
    transcript, frames = Transcript(output_bytes=100, flood_bytes=1000), Demultiplexer()
    frames.feed(b"\x02\0\0\0\0\0\0\x01." * 200, transcript)
    assert transcript.flooded


@pytest.mark.containers
def test_a_warm_container_ends_after_its_time_though_nobody_asks_for_anything(engine: Any, python_image: str) -> None:
    runner = docker_runner(engine, python_image, waits=Waits(2, seconds=1))
    for framework in ("json", "decimal"):
        runner.warm(TARGET, framework)
    until = time.monotonic() + 60
    while own_containers(engine) and time.monotonic() < until:
        time.sleep(0.1)  # the timer and the engine's removal take their time
    left = own_containers(engine)
    runner.close()
    assert left == []


@pytest.mark.containers
def test_an_engine_without_an_accelerator_makes_the_release_untestable_and_never_runs_on_the_cpu(
    engine: Any, runner: DockerRunner
) -> None:
    if "nvidia" in engine.info().get("Runtimes", {}):
        pytest.skip("this engine has accelerators")
    report = runner.run(replace(REQUEST, target=replace(TARGET, hardware="cuda")), NEVER)
    assert report.ending == "unprepared"
    assert report.reason.startswith("no CUDA device")

"""`--server`: the same commands, asked of a service that really listens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from httpx_sse import ServerSentEvent
from rich.console import Console
from typer.testing import CliRunner, Result

from service.cli import remote
from service.cli.app import app
from service.cli.remote import Server, token_from
from service.errors import BadInput, TfbisectError
from tests.web.conftest import Served, served
from tests.web.world import TUTORIAL, World

RANGE = ("--probe", "dropout", "--releases", "1.9..1.14")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(World(tmp_path / "service")) as running:
        yield running


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "model.py"
    path.write_text(TUTORIAL)
    return str(path)


@pytest.fixture
def tfbisect(service: Served, tmp_path: Path) -> Callable[..., Result]:
    """Give the command line on a machine that has nothing but the address of the service."""

    def run(*words: str, **variables: str) -> Result:
        here = {"TFBISECT_DATA_DIR": str(tmp_path / "here"), "TFBISECT_SERVER": service.url}
        return CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1", **here, **variables})

    return run


@contextmanager
def coordinator(service: Served) -> Iterator[None]:
    """Work off what is submitted, as the service's own coordinator does."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            service.world.work_off()
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_run_is_made_there_followed_and_told_as_here(
    service: Served, tfbisect: Callable[..., Result], script: str, tmp_path: Path
) -> None:
    with coordinator(service):
        ended = tfbisect("run", script, *RANGE)
    assert ended.exit_code == 0, ended.output
    assert "introduced in 1.11.0" in ended.stdout
    assert "fixed in 1.13.1" in ended.stdout
    assert f"asked: {service.url}/b/" in ended.stderr
    assert "1.11.0       never-drops" in ended.stderr
    assert not (tmp_path / "here").exists()  # this machine keeps nothing
    again = tfbisect("run", script, *RANGE, "--json", "--quiet")
    assert json.loads(again.stdout)["runs"]["executed"] == 0
    assert again.stderr == ""


def test_files_go_along(service: Served, tfbisect: Callable[..., Result], script: str, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2\n")
    with coordinator(service):
        ended = tfbisect("run", script, *RANGE, "--file", str(tmp_path / "data.csv"))
    assert ended.exit_code == 0, ended.output
    newest = service.client.get("/api/v1/bisections?limit=1").json()["items"][0]["id"]
    request = service.client.get(f"/api/v1/bisections/{newest}").json()["request"]
    assert service.world.store.packed_project(request["project"])


def test_what_is_stored_there_is_listed_and_shown(
    service: Served, tfbisect: Callable[..., Result], script: str
) -> None:
    done = service.bisected(TUTORIAL)
    listed = tfbisect("list")
    assert listed.stdout.startswith(done["id"])
    assert "introduced in 1.11.0" in tfbisect("show", "last").stdout
    assert json.loads(tfbisect("show", done["id"][:20].lower(), "--json").stdout)["id"] == done["id"]
    assert "1.11.0" in tfbisect("show", "last", "--markdown").stdout


@pytest.mark.parametrize(
    ("to", "code", "said"),
    [("1.11", 1, "changed: tensorflow 1.10.1 to 1.11.0: dropout introduced in 1.11.0"), ("1.13", 0, "safe: ")],
)
def test_an_upgrade_is_checked_there(
    service: Served, tfbisect: Callable[..., Result], script: str, to: str, code: int, said: str
) -> None:
    with coordinator(service):
        ended = tfbisect("check", script, "--from", "1.10", "--to", to, "--probe", "dropout")
    assert ended.exit_code == code, ended.output
    assert ended.stdout.startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        (("show", "01ARZ3"), "no bisection 01ARZ3"),
        (("run", "{script}", "--releases", "9..8"), "9"),
        (("run", "{script}", "--parallel", "2"), "--parallel is this machine's"),
    ],
)
def test_what_cannot_be_asked_is_bad_input_here_too(
    tfbisect: Callable[..., Result], script: str, words: tuple[str, ...], said: str
) -> None:
    ended = tfbisect(*(word.format(script=script) for word in words))
    assert isinstance(ended.exception, TfbisectError)
    assert ended.exception.exit_code == 2
    assert said in ended.exception.message


def test_a_service_that_is_not_there_is_no_verdict(tfbisect: Callable[..., Result], script: str) -> None:
    ended = tfbisect("run", script, TFBISECT_SERVER="http://user:password@127.0.0.1:9")
    assert isinstance(ended.exception, TfbisectError)
    assert ended.exception.exit_code == 3
    assert "password" not in ended.exception.message


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http:///x", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="--server"):
        Server(url, Console(), {})


def test_a_stream_that_breaks_is_taken_up_again(
    service: Served, tfbisect: Callable[..., Result], script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = Server._events
    broken: list[ServerSentEvent] = []

    def breaking(self: Server, bisection_id: str, after: str) -> Iterator[ServerSentEvent]:
        for number, event in enumerate(events(self, bisection_id, after)):
            if len(broken) < 3 and number == 2:
                broken.append(event)
                raise httpx.ReadError("cut")
            yield event

    monkeypatch.setattr(Server, "_events", breaking)
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.01)
    with coordinator(service):
        ended = tfbisect("run", script, *RANGE)
    assert ended.exit_code == 0, ended.output
    assert len(broken) == 3
    told = [line for line in ended.stderr.splitlines() if line.startswith("[")]
    stored = service.client.get("/api/v1/bisections?limit=1").json()["items"][0]["id"]
    assert len(told) == len(service.client.get(f"/api/v1/bisections/{stored}").json()["observations"])


def test_the_token_comes_from_a_variable_or_a_file_and_is_not_sent_in_clear_unsaid(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert token_from({"TFBISECT_TOKEN_FILE": str(file)}) == "secret"
    assert token_from({"TFBISECT_TOKEN": "other", "TFBISECT_TOKEN_FILE": str(file)}) == "other"
    assert token_from({}) == ""
    with pytest.raises(BadInput, match="cannot be read"):
        token_from({"TFBISECT_TOKEN_FILE": str(tmp_path)})
    for url, warned in (("http://host.test", True), ("https://host.test", False), ("http://127.0.0.1:8000", False)):
        console = Console(record=True, width=200)
        Server(url, console, {"TFBISECT_TOKEN": "secret"}).close()
        said = console.export_text()
        assert ("unencrypted" in said) is warned
        assert "secret" not in said

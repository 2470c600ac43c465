"""Passwords in settings: used, and never said, kept in clear or put on a command line."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr, ValidationError
from sqlalchemy import MetaData, text

from service.bootstrap import House, set_up_logging
from service.catalog.environments import Environments
from service.catalog.releases import Catalog
from service.catalog.targets import Target
from service.cli import app as command_line
from service.errors import IndexUnreachable, StoreError, TfbisectError, Unavailable, UnknownName
from service.images import grounds
from service.nightly.notifications import Postage, Sender
from service.secret_urls import SecretUrl, host_of, without_credentials
from service.settings import Settings
from service.storage.engine import make_engine
from tests.catalog.worlds import MemoryCache
from tests.images.local_index import MEDIA_TYPE, LocalIndex
from tests.web.conftest import Served, served
from tests.web.world import TUTORIAL, MadeUpRuns, World

USER, PASSWORD = "planted-user", "planted-pass%2Fword"
PLANTED = ("planted", base64.b64encode(b"planted-user:planted-pass/word").decode())
HOLDERS: dict[str, Any] = {
    "database_url": f"postgresql://{USER}:{PASSWORD}@127.0.0.1:9/tfbisect?sslpassword=planted",
    "index_url": f"http://{USER}:{PASSWORD}@127.0.0.1:9/simple/",
    "debian_mirror": f"http://{USER}:{PASSWORD}@127.0.0.1:9/debian",
    "smtp_url": f"smtp://{USER}:{PASSWORD}@127.0.0.1:9?plain=1",
    "webhook_secret": "planted",
}
REFUSED: dict[str, Any] = {
    "public_url": f"https://{USER}:{PASSWORD}@bisect.example",
    "dashboard_url": f"https://{USER}:{PASSWORD}@scheduler.example",
    "registry": f"{USER}:{PASSWORD}@mirror.example/hub",
    "image_registry": f"{USER}:{PASSWORD}@registry.example/tfbisect",
    "scheduler": f"tcp://{USER}:{PASSWORD}@127.0.0.1:9",
    "python_image": f"{USER}:{PASSWORD}@mirror.example/python:{{python}}",
}
CANNOT_HOLD_ONE = {
    "additions",
    "gpu_runtime",
    "container_runtime",
    "allowed_hosts",
    "trusted_proxies",
    "nightly_cron",
    "nightly_timezone",
    "mail_from",
}


def assert_unsaid(said: str, where: str) -> None:
    for secret in PLANTED:
        assert secret not in said, f"{where} tells {secret}"


@contextmanager
def locked_index(index: LocalIndex) -> Iterator[LocalIndex]:
    """Serve an index to those who sign in."""
    right = "Basic " + base64.b64encode(b"planted-user:planted-pass/word").decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != right:
                self._answer(401, b"", "text/plain")
                return
            *folders, name = self.path.strip("/").split("/")
            body = index.files[folders[-1]][name][0] if "files" in folders else index.page(name)
            self._answer(404 if body is None else 200, body or b"", MEDIA_TYPE)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, body: bytes, media_type: str) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        # Named so by http.server.
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        index.url = f"http://127.0.0.1:{server.server_port}/simple/"
        yield index
        server.shutdown()
        thread.join()


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    own = LocalIndex()
    own.wheel("helper", "1.0", "2020-01-01")
    own.wheel("tiny", "1.0", "2020-01-02", requires="helper")
    with locked_index(own) as locked:
        yield locked


def signed_in(address: str) -> str:
    return address.replace("http://", f"http://{USER}:{PASSWORD}@")


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take up the command line of everything that is started."""
    seen: list[str] = []
    start = subprocess.Popen.__init__

    def noting(process: Any, command: Any, *more: Any, **options: Any) -> None:
        seen.extend([command] if isinstance(command, str) else map(str, command))
        start(process, command, *more, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", noting)
    return seen


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:word@host/simple", "https://***@host/simple"),
        ("https://token@host/simple", "https://***@host/simple"),
        ("postgresql://u:with/slash@and@host/db?sslpassword=x&a=b", "postgresql://***@host/db?sslpassword=***&a=***"),
        ("user:word@host/hub", "***@host/hub"),
        ("sqlite:////data/file.sqlite3", "sqlite:////data/file.sqlite3"),
        ("", ""),
    ],
)
def test_an_address_is_written_without_what_is_secret_in_it(address: str, shown: str) -> None:
    secret = SecretUrl(address)
    assert (str(secret), f"{secret}", repr(secret)) == (shown, shown, f"SecretUrl({shown!r})")
    assert (secret.reveal(), bool(secret)) == (address, bool(address))
    assert pickle.loads(pickle.dumps(secret)) == secret


def test_a_text_that_names_an_address_is_passed_on_without_its_password() -> None:
    said = "401 for url: https://user:word@host/simple/x/ and then http://host/y"
    assert without_credentials(said) == "401 for url: https://***@host/simple/x/ and then http://host/y"
    assert str(IndexUnreachable(said)) == IndexUnreachable(said).message == without_credentials(said)


def test_of_a_webhook_only_its_host_is_shown() -> None:
    assert host_of("https://hooks.slack.com/services/T0/B0/key") == "https://hooks.slack.com/***"
    assert host_of("env:HOOK") == "env:HOOK"


def test_every_setting_of_text_is_known_to_hold_a_password_or_not() -> None:
    of_text = {name for name, field in Settings.model_fields.items() if field.annotation in (str, SecretStr, SecretUrl)}
    assert of_text == {*HOLDERS, *REFUSED, *CANNOT_HOLD_ONE}
    for name in HOLDERS:
        assert Settings.model_fields[name].annotation in (SecretStr, SecretUrl), name


@pytest.mark.parametrize("name", REFUSED)
def test_what_everybody_is_told_can_hold_no_password(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**{name: REFUSED[name]})
    assert_unsaid(str(refused.value), name)
    assert "no user and password" in str(refused.value)


def test_an_image_that_is_pinned_by_its_digest_is_no_password() -> None:
    pinned = f"mirror.example:5000/python@sha256:{'0' * 64}"
    assert Settings(python_image=pinned).python_image == pinned


def test_settings_do_not_tell_when_they_are_dumped() -> None:
    chosen = Settings(**HOLDERS)
    assert_unsaid(
        f"{chosen!r} {chosen} {chosen.model_dump()} {chosen.model_dump_json()} {chosen.store_url}", "settings"
    )


def commands(folder: Path) -> list[list[str]]:
    """Return every command that ends by itself."""
    snippet = folder / "model.py"
    snippet.write_text(TUTORIAL)
    return [
        ["doctor"],
        ["doctor", "--json"],
        ["doctor", "--settings"],
        ["doctor", "--settings", "--json"],
        ["run", str(snippet), "--runner", "local", "--releases", "1.9"],
        ["run", str(snippet), "--runner", "local", "--package", "nosuch"],
        ["releases", "--package", "nosuch"],
        ["images", "list"],
        ["images", "build", "1.9"],
        ["images", "bases", "1.9"],
        ["watch", "add", str(snippet), "--webhook", "https://hooks.example/planted"],
        ["watch", "list", "--json"],
        ["watch", "list"],
        ["tokens", "list"],
        ["show", "nothing"],
        ["probes"],
        ["nightly", "--json"],
        ["db", "upgrade"],
        ["db", "export"],
    ]


def run_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tfbisect", *words])
    with pytest.raises(SystemExit):
        command_line.main()


@pytest.mark.parametrize("with_database", [False, True])
def test_no_command_tells_or_passes_on_a_secret(
    with_database: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.setenv("TFBISECT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFBISECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{USER}:{PASSWORD}@127.0.0.1:9")
    for name, value in HOLDERS.items():
        if with_database or name != "database_url":
            monkeypatch.setenv(f"TFBISECT_{name.upper()}", value)
    for words in commands(tmp_path):
        run_command(words, monkeypatch)
        said = capfd.readouterr()
        told = (
            (said.out + said.err).replace("https://hooks.example/planted", "")
            if "export" in words
            else said.out + said.err
        )
        assert "Usage:" not in told, told
        assert_unsaid(told, " ".join(words[:2]))
    assert_unsaid(" ".join(arguments), "a command line")


def test_a_setting_that_cannot_be_read_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TFBISECT_PARALLEL", "planted")
    monkeypatch.setenv("TFBISECT_PUBLIC_URL", REFUSED["public_url"])
    run_command(["probes"], monkeypatch)
    said = capsys.readouterr().err
    assert "TFBISECT_PARALLEL" in said
    assert "TFBISECT_PUBLIC_URL" in said
    assert_unsaid(said, "the complaint")


def get_routes(service: Served) -> list[str]:
    """Return every address that can be read, with the names of what is there."""
    done = service.bisected(TUTORIAL)
    routes = [
        path.replace("{id}", done["id"]).replace("{release}", "1.9.0").replace("{name}", "dropout")
        for path, item in service.client.get("/openapi.json").json()["paths"].items()
        if "get" in item
    ]
    pages = ["/", f"/b/{done['id']}", f"/b/{done['id']}.md", f"/b/{done['id']}.svg", "/watches", "/watches.atom"]
    pages += ["/releases", "/releases?package=nosuch", "/probes/dropout", "/docs", "/bisections", "/openapi.json"]
    return [*routes, *pages, "/api/v1/releases?package=nosuch", f"/api/v1/compare?left={done['id']}&right={done['id']}"]


@pytest.mark.parametrize("answers", [True, False])
def test_no_route_tells_a_secret_and_no_table_keeps_one(
    answers: bool, tmp_path: Path, index: LocalIndex, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    planted = {name: value for name, value in HOLDERS.items() if name not in {"database_url", "index_url"}}
    planted["index_url"] = signed_in(index.url) if answers else HOLDERS["index_url"]
    world = World(tmp_path, MadeUpRuns(), **planted)
    with served(world) as service:
        for route in get_routes(service):
            for accept in ("application/json", "text/html"):
                answer = service.client.get(route, headers={"accept": accept})
                assert_unsaid(answer.text + str(answer.headers), route)
        for package in ("tiny", "nosuch"):
            body = {"snippet": TUTORIAL, "package": package, "probe": "script"}
            for route in ("/api/v1/bisections", "/api/v1/estimate"):
                assert_unsaid(service.client.post(route, json=body).text, route)
            assert_unsaid(service.client.post("/", data=body).text, "the form")
            assert_unsaid(service.client.post("/estimate", data=body).text, "the estimate")
        missing = service.client.get("/api/v1/releases?package=nosuch")
        assert missing.status_code == (422 if answers else 503)
        assert index.url.rpartition("/simple")[0] in missing.json()["detail"] or not answers
        assert_unsaid("\n".join(everything_stored(world)), "the database")
    structlog.get_logger().warning("planted", place=f"see {HOLDERS['index_url']}", planted="said on purpose")
    told = capfd.readouterr().err
    structlog.reset_defaults()
    assert_unsaid("\n".join(line for line in told.splitlines() if "said on purpose" not in line), "the log")
    assert PASSWORD not in told


def everything_stored(world: World) -> Iterator[str]:
    """Yield every row of every table."""
    engine = make_engine(world.settings.store_url.reveal())
    try:
        schema = MetaData()
        schema.reflect(engine)
        with engine.connect() as connection:
            for table in schema.sorted_tables:
                for row in connection.execute(text(f"SELECT * FROM {table.name}")):
                    yield repr(tuple(row))
    finally:
        engine.dispose()


def test_an_index_that_asks_for_a_password_gets_it_from_the_catalog_and_from_uv(
    tmp_path: Path, index: LocalIndex, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFBISECT_DATABASE_URL", HOLDERS["database_url"])
    settings = Settings(index_url=signed_in(index.url), data_dir=tmp_path, cache_dir=tmp_path / "cache")
    cache = MemoryCache()
    catalog = Catalog(cache, settings)
    assert [release.version for release in catalog.releases("tiny")] == ["1.0"]
    environments = Environments(catalog, cache, settings)
    found = environments.resolve(Target("tiny", "1.0", "cpu"))
    assert found.packages == {"helper": "1.0", "tiny": "1.0"}
    environments.install(found, tmp_path / "installed")
    assert (tmp_path / "installed" / "tiny.py").exists()
    with pytest.raises(UnknownName) as unknown:
        catalog.releases("nosuch")
    assert_unsaid(unknown.value.message, "the complaint")
    assert_unsaid(str(cache.values) + found.lock, "the cache")
    assert_unsaid(" ".join(arguments), "a command line")
    assert any(word.endswith("/uv") for word in arguments)


def test_a_password_that_the_index_refuses_is_not_repeated(tmp_path: Path, index: LocalIndex) -> None:
    wrong = index.url.replace("http://", "http://planted-user:planted-wrong@")
    settings = Settings(index_url=wrong, data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(IndexUnreachable) as refused:
        Catalog(MemoryCache(), settings).releases("tiny")
    assert "401" in refused.value.message
    assert_unsaid(refused.value.message, "the complaint")


def test_a_password_goes_to_the_index_and_to_no_other_host(index: LocalIndex) -> None:
    catalog = Catalog(MemoryCache(), Settings(index_url=signed_in(index.url)))
    with catalog.index.session() as session, LocalIndexElsewhere() as elsewhere:
        session.get(f"{elsewhere.url}files/x", timeout=5)
        assert elsewhere.authorizations == [None]


class LocalIndexElsewhere:
    """A host that the index may point to, and what it is told."""

    def __init__(self) -> None:
        self.authorizations: list[str | None] = []

    def __enter__(self) -> LocalIndexElsewhere:
        told = self.authorizations

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told.append(self.headers["Authorization"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            # Named so by http.server.
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_a_debian_mirror_is_signed_in_to_by_a_file_and_not_by_an_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    tool = tmp_path / "bin" / "mmdebstrap"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nfor word; do case $word in *copy-in*) set -- $word; cat $2 >&2;; esac; done; exit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    with pytest.raises(Unavailable, match="mmdebstrap failed"):
        grounds.make_system(tmp_path / "system.tar", ["libc6"], SecretUrl(HOLDERS["debian_mirror"]))
    assert_unsaid(" ".join(arguments), "a command line")
    assert "http://127.0.0.1:9/debian" in arguments
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]


@pytest.mark.parametrize("url", [HOLDERS["database_url"], f"no url {PASSWORD}@", f"sqlite://{USER}:{PASSWORD}@/x"])
def test_a_database_that_is_away_is_named_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as away, House(Settings(database_url=url, data_dir=tmp_path)).store:
        pass
    assert_unsaid(away.value.message, "the complaint")


def test_a_mail_server_that_is_away_is_logged_without_its_password(tmp_path: Path) -> None:
    sender = Sender(None, Postage(smtp_url=HOLDERS["smtp_url"]))  # type: ignore[arg-type]  # the store is not asked
    with pytest.raises((OSError, TfbisectError)) as away:
        sender._mail(EmailMessage())
    assert_unsaid(str(away.value), "the complaint")
    assert_unsaid(json.dumps(Settings(**HOLDERS).model_dump(mode="json")), "the dump")

"""`tfbisect watch` and `tfbisect nightly`, as a user has them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.coordination.intake import BisectionRequest
from service.nightly.nights import Summary
from service.nightly.passes import Nightly
from service.nightly.watches import read_watch, request_of
from service.resources import resource_dir
from service.settings import Settings
from service.storage.store import Store
from service.storage.watch_records import NewWatch, NewWatchRun
from tests.nightly.world import Behaviour, NightlyHouse, Site
from tests.web.world import OURS, TUTORIAL, World


class CommandLine:
    """The command line in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model.py"
        self.model.write_text(TUTORIAL)

    def __call__(self, *words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    def watches(self) -> list[dict[str, Any]]:
        return list(json.loads(self("watch", "list", "--json").stdout))

    def store(self) -> Store:
        return Store.open(Settings().store_url.reveal())


@pytest.fixture
def tfbisect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    monkeypatch.setenv("TFBISECT_DATA_DIR", str(tmp_path))
    for name in ("index_url", "catalog_max_age_seconds"):
        monkeypatch.setenv(f"TFBISECT_{name.upper()}", str(OURS[name]))
    yield CommandLine(tmp_path)
    # A command sends log lines to its own standard error, which ends with it.
    structlog.reset_defaults()


def test_a_file_is_watched_under_its_name(tfbisect: CommandLine) -> None:
    added = tfbisect("watch", "add", tfbisect.model)
    assert added.exit_code == 0, added.output
    (watch,) = tfbisect.watches()
    assert added.stdout.split() == [watch["id"], "model"]
    assert (watch["watched"], watch["last"], watch["blind_after"]) == (["tensorflow"], "no night yet", 3)
    with tfbisect.store() as store:
        assert store.snippet(watch["snippet_digest"]) == TUTORIAL


def test_a_watch_is_what_the_options_say(tfbisect: CommandLine) -> None:
    options = ["--name", "forecast", "--package", "tensorflow", "--package", "tf-nightly", "--releases", "2.0.."]
    options += [
        "--webhook",
        "https://a.test/x",
        "--slack",
        "https://b.test/y",
        "--mail",
        "c@d.test",
        "--blind-after",
        "5",
    ]
    assert tfbisect("watch", "add", tfbisect.model, *options).exit_code == 0
    (watch,) = tfbisect.watches()
    assert (watch["name"], watch["watched"], watch["blind_after"]) == ("forecast", ["tensorflow", "tf-nightly"], 5)
    assert [entry["channel"] for entry in watch["notify"]] == ["webhook", "slack", "mail"]
    with tfbisect.store() as store:
        kept = store.watch("forecast")
        assert request_of(kept, kept.packages[1], TUTORIAL).releases == "2.0.."


def test_a_watch_file_is_added_as_it_stands(tfbisect: CommandLine) -> None:
    path = tfbisect.folder / "team.toml"
    path.write_text('snippet = "model.py"\nblind_after = 7\n[[package]]\npackage = "tensorflow"\nreleases = "1.9.."\n')
    assert tfbisect("watch", "add", path).exit_code == 0
    (watch,) = tfbisect.watches()
    assert (watch["name"], watch["blind_after"], watch["origin"]) == ("team", 7, "file:team.toml")


def test_a_bisection_is_watched_with_its_own_request_and_owner(tfbisect: CommandLine, tmp_path: Path) -> None:
    world = World(tmp_path)
    request = BisectionRequest(snippet=TUTORIAL, releases="1.9..1.14", resolution=2)
    made = world.submission.submit(request, public=False, owner="01TOKEN")
    world.close()
    assert tfbisect("watch", "add", made.id).exit_code == 0
    (watch,) = tfbisect.watches()
    assert (watch["name"], watch["public"], watch["owner"]) == (f"bisection-{made.id}", False, "01TOKEN")
    assert (watch["request"]["releases"], watch["request"]["resolution"]) == ("1.9..1.14", 2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["01ARZ3NDEKTSV4RRFFQ69G5FAV"], "no bisection"),
        (["model.py", "--webhook", "ftp://x"], "not a web address"),
        (["model.py", "--name", "two words"], "name"),
        (["missing.toml"], "cannot read the watch"),
        (["bad.toml"], "cannot read the watch"),
        (["no-snippet.toml"], "snippet ="),
        (["unknown-field.toml"], "releasess"),
    ],
)
def test_what_cannot_be_watched_is_said_and_nothing_is_kept(
    tfbisect: CommandLine, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tfbisect.folder)
    Path("bad.toml").write_text("snippet = [")
    Path("no-snippet.toml").write_text("blind_after = 3")
    Path("unknown-field.toml").write_text('snippet = "model.py"\nreleasess = "2.0.."')
    ended = tfbisect("watch", "add", *words)
    assert ended.exit_code != 0
    assert says in str(ended.exception)
    assert tfbisect.watches() == []


def test_a_name_is_taken_once_and_free_again_when_its_watch_is_removed(tfbisect: CommandLine) -> None:
    tfbisect("watch", "add", tfbisect.model)
    assert "tfbisect watch remove model" in str(tfbisect("watch", "add", tfbisect.model).exception)
    removed = tfbisect("watch", "remove", "model")
    assert removed.stdout.strip() == "model is no longer watched"
    assert tfbisect.watches() == []
    assert tfbisect("watch", "add", tfbisect.model).exit_code == 0
    assert "no watch nobody" in str(tfbisect("watch", "remove", "nobody").exception)


def test_the_list_shows_the_last_night(tfbisect: CommandLine) -> None:
    tfbisect("watch", "add", tfbisect.model)
    with tfbisect.store() as store:
        night = NewWatchRun(
            store.watch("model").id, store.open_pass().id, "tensorflow", "changed", {}, message="introduced in 2.4.0"
        )
        store.add_watch_run(night)
    assert "changed: introduced in 2.4.0" in tfbisect("watch", "list").stdout
    assert tfbisect.watches()[0]["last"].endswith("changed: introduced in 2.4.0")


def test_a_pass_over_no_watch_says_how_to_add_one(tfbisect: CommandLine) -> None:
    empty = tfbisect.folder / "none"
    empty.mkdir()
    ended = tfbisect("nightly", "--watches", empty)
    assert ended.exit_code == 0
    assert "tfbisect watch add" in ended.stdout
    said = json.loads(tfbisect("nightly", "--watches", empty, "--json").stdout)
    assert (said["schema"], said["exit_code"], said["rows"]) == ("tfbisect/nightly/1", 0, [])


def test_a_pass_with_a_bad_file_names_it_and_ends_with_3(tfbisect: CommandLine) -> None:
    folder = tfbisect.folder / "watches"
    folder.mkdir()
    (folder / "bad.toml").write_text('snippet = "gone.py"')
    ended = tfbisect("nightly", "--watches", folder)
    assert ended.exit_code == 3
    assert "gone.py" in ended.stdout


def test_a_pass_that_is_told_to_end_ends_in_order(
    tfbisect: CommandLine, site: Site, tmp_path: Path, behaviour: Behaviour
) -> None:
    # An index that takes its time holds the pass while the signal comes.
    site.pause_seconds = 1.0
    house = NightlyHouse(tmp_path, site, behaviour)
    house.watch(site)
    variables = {
        **os.environ,
        "TFBISECT_INDEX_URL": f"{site.address}/simple/",
        "TFBISECT_WATCHES_DIR": str(tmp_path / "watches"),
        "TFBISECT_RUNNER": "local",
    }
    command = [sys.executable, "-m", "service", "nightly", "--json"]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as begun:
        while house.store.last_pass() is None:
            time.sleep(0.02)
        begun.send_signal(signal.SIGTERM)
        out, _ = begun.communicate()
    assert begun.returncode == 130
    assert json.loads(out)["interrupted"] is True
    last = house.store.last_pass()
    assert last is not None
    assert (last.finished_at, house.store.lease_holder("nightly")) == (None, None)
    house.close()


def test_the_shipped_watch_is_the_tutorial_over_the_releases_and_the_nightlies() -> None:
    (path,) = (resource_dir("watches")).glob("*.toml")
    watch = read_watch(path)
    assert (watch.name, [each["package"] for each in watch.packages]) == (
        "dropout-tutorial",
        ["tensorflow", "tf-nightly"],
    )
    assert watch.snippet == (resource_dir("examples") / "dropout_tutorial.py").read_text()
    assert watch.request["probe"] == "dropout"
    assert watch.notify == ()


def test_a_watch_takes_what_run_takes(tfbisect: CommandLine) -> None:
    World(tfbisect.folder).close()  # which leaves releases in the catalog
    options = ["--releases", "2.0..", "--probe", "script", "--pattern", "loss", "--set", "output_kept=9", "--whole"]
    refused = tfbisect("watch", "add", tfbisect.model, *options)
    assert "output_kept" in str(refused.exception), "as run refuses it"
    options = ["--releases", "2.0..", "--pattern", "loss", "--resolution", "3", "--python", "3.8"]
    added = tfbisect("watch", "add", tfbisect.model, *options, "--timeout", "50", "--no-why")
    assert added.exit_code == 0, added.exception
    [watch] = tfbisect.watches()
    asked = {"releases": "2.0..", "resolution": 3, "python": "3.8", "why": False}
    asked |= {"timeout_seconds": 50.0, "parameters": {"pattern": "loss"}}
    assert asked.items() <= watch["request"].items()
    with tfbisect.store() as store:
        kept = store.watch("model")
        assert request_of(kept, kept.packages[0], TUTORIAL).probe == "script"


def test_what_run_would_refuse_is_no_watch(tfbisect: CommandLine) -> None:
    World(tfbisect.folder).close()
    broken = tfbisect.folder / "broken.py"
    broken.write_text("print('one'\n")
    for words, says in (
        ([broken], "line 1"),
        ([tfbisect.model, "--probe", "nosuch"], "nosuch"),
        ([tfbisect.model, "--releases", "2.3..1.9"], "2.3"),
        ([tfbisect.folder], "is a folder"),
    ):
        assert says in str(tfbisect("watch", "add", *words).exception)
    assert tfbisect.watches() == []


def test_a_project_is_watched_with_its_files(tfbisect: CommandLine) -> None:
    World(tfbisect.folder / "world").close()
    project = tfbisect.folder / "project"
    project.mkdir()
    (project / "main.py").write_text("print(1)\n")
    added = tfbisect("watch", "add", project, "--", "python", "main.py")
    assert added.exit_code == 0, added.exception
    [watch] = tfbisect.watches()
    with tfbisect.store() as store:
        assert store.packed_project(watch["request"]["project"])
    assert watch["request"]["command"] == ["python", "main.py"]


def test_options_change_an_earlier_request(tfbisect: CommandLine, tmp_path: Path) -> None:
    world = World(tmp_path)
    made = world.submission.submit(BisectionRequest(snippet=TUTORIAL, releases="1.9..1.14", resolution=2))
    world.close()
    assert tfbisect("watch", "add", made.id, "--releases", "1.9..").exit_code == 0
    [watch] = tfbisect.watches()
    assert (watch["request"]["releases"], watch["request"]["resolution"]) == ("1.9..", 2)


def test_the_example_watch_runs_only_for_who_asks(tfbisect: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = tfbisect("nightly")
    assert passed.exit_code == 0, passed.output
    assert "There is no watch. Add one: tfbisect watch add FILE" in passed.output
    taken: list[int] = []

    def told(_self: Nightly, files: Sequence[NewWatch], *_: object) -> Summary:
        taken.append(len(files))
        return Summary("")

    monkeypatch.setattr(Nightly, "run", told)
    tfbisect("nightly", "--example")
    assert taken == [1]

"""What is stored, listed; and how an id is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.reports.naming import LONGEST, name_of
from service.storage.schema import upgrade
from service.storage.store import Store

REQUEST = {"package": "tensorflow", "probe": "script", "releases": "2.0..2.4"}


class Shell:
    """The command line over a store of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TFBISECT_DATA_DIR", str(folder))
        url = f"sqlite:///{folder / 'tfbisect.db'}"
        monkeypatch.setenv("TFBISECT_DATABASE_URL", url)
        upgrade(url)
        self.store = Store.open(url)

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(app, words, env={"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"})


@pytest.fixture
def tfbisect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    shell = Shell(tmp_path, monkeypatch)
    yield shell
    shell.store.close()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ('"""Does my LSTM still learn?"""\nimport numpy\n', "Does my LSTM still learn?"),
        ("#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# Class weights\nimport os\n", "Class weights"),
        ("#####\n# ---\n# Gelu\n", "Gelu"),
        ("import tensorflow as tf\n\nmodel = tf.keras.Sequential()\n", "model = tf.keras.Sequential()"),
        ("import os\nimport sys\n", "import os"),
        ("# /// script\n# dependencies = []\n# ///\nimport os\nx = f(3)\n", "dependencies = []"),
        ("", "a project"),
        ("f(" + "a, " * 100 + "1)", None),
    ],
)
def test_a_snippet_is_called_by_its_own_first_words(source: str, name: str | None) -> None:
    given = name_of(source)
    assert len(given) <= LONGEST
    assert name is None or given == name


def test_a_list_shows_newest_first_with_the_snippets_name(tfbisect: Shell) -> None:
    first = tfbisect.store.create_bisection(REQUEST, "# The first\nprint(1)\n").bisection
    second = tfbisect.store.create_bisection(REQUEST, "# The second\nprint(2)\n").bisection
    listed = tfbisect("list")
    assert listed.exit_code == 0, listed.output
    lines = listed.output.splitlines()
    assert lines[0].startswith(second.id)
    assert lines[0].endswith("The second")
    assert lines[1] == "  tensorflow 2.0..2.4: Queued"
    assert lines[2].startswith(first.id)
    assert max(map(len, lines)) <= 80
    rows = json.loads(tfbisect("list", "--json").output)
    assert [(row["id"], row["name"]) for row in rows] == [(second.id, "The second"), (first.id, "The first")]
    assert "The first" in tfbisect("list", "first").output
    assert "The second" not in tfbisect("list", "first").output


def test_an_empty_list_says_how_to_begin(tfbisect: Shell) -> None:
    assert "tfbisect run FILE" in tfbisect("list").output
    assert tfbisect("list", "--probe", "dropout").output.strip() == "No bisection matches."


def test_an_id_is_typed_whole_by_its_beginning_or_as_last(tfbisect: Shell) -> None:
    ids = [tfbisect.store.create_bisection(REQUEST, f"print({number})").bisection.id for number in range(2)]
    for id_ in ids:
        tfbisect.store.finish(id_, "done", {"summary": "", "changes": [], "segments": [], "id": id_})
    assert json.loads(tfbisect("show", "last", "--json").output)["id"] == ids[1]
    assert json.loads(tfbisect("show", ids[0].lower(), "--json").output)["id"] == ids[0]
    common = next(n for n in range(26) if ids[0][n] != ids[1][n])
    assert json.loads(tfbisect("show", ids[0][: common + 1], "--json").output)["id"] == ids[0]
    refused = tfbisect("show", ids[0][:common])
    assert refused.exit_code != 0
    assert ids[0] in str(refused.exception)
    assert ids[1] in str(refused.exception)


@pytest.mark.parametrize("name", ["", "%", "ZZZZ", "0' OR 1=1", "é", "last1", "\x00"])
def test_what_is_no_beginning_of_an_id_is_not_found(tfbisect: Shell, name: str) -> None:
    tfbisect.store.create_bisection(REQUEST, "print(1)")
    refused = tfbisect("show", name)
    assert "no bisection" in str(refused.exception)


def test_alone_it_says_what_to_do_first_and_names_its_version(tfbisect: Shell) -> None:
    alone = tfbisect()
    assert alone.exit_code == 0
    assert "tfbisect doctor" in alone.output
    assert "tfbisect run" in alone.output
    assert max(map(len, alone.output.splitlines())) <= 80
    assert tfbisect("--version").output.startswith("tfbisect 0.")
    assert tfbisect("-h").output == tfbisect("--help").output
    assert "--releases" in tfbisect("run", "-h").output

"""`tfbisect tokens`, as a user has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.settings import Settings
from service.storage.store import Store


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("TFBISECT_DATA_DIR", str(tmp_path))
    return CliRunner()


def test_a_token_is_shown_once_and_stored_as_a_digest(tokens: CliRunner) -> None:
    made = tokens.invoke(app, ["tokens", "create", "--name", "ci", "--scope", "read", "--scope", "submit"])
    secret = made.stdout.strip()
    assert made.exit_code == 0
    assert secret.startswith("tfb_")
    database = Settings().data_dir / "tfbisect.sqlite3"
    assert secret.encode() not in database.read_bytes()
    with Store.open(Settings().store_url.reveal()) as store:
        token = store.token_of(secret)
    assert token is not None
    assert token.scopes == {"read", "submit"}


def test_tokens_are_listed_and_revoked_by_name(tokens: CliRunner) -> None:
    for expires in ([], ["--expires-days", "0"]):
        tokens.invoke(app, ["tokens", "create", "--name", "ci", "--scope", "admin", *expires])
    listed = json.loads(tokens.invoke(app, ["tokens", "list", "--json"]).stdout)
    assert [token["state"] for token in listed] == ["open", "expired"]
    assert "tfb_" not in json.dumps(listed)
    assert "2 tokens revoked" in tokens.invoke(app, ["tokens", "revoke", "ci"]).stdout
    listed = json.loads(tokens.invoke(app, ["tokens", "list", "--json"]).stdout)
    assert [token["state"] for token in listed] == ["revoked", "revoked"]
    assert "revoked" in tokens.invoke(app, ["tokens", "list"]).stdout


@pytest.mark.parametrize("words", [["create", "--name", "x", "--scope", "all"], ["revoke", "nobody"]])
def test_what_cannot_be_done_is_said(tokens: CliRunner, words: list[str]) -> None:
    ended = tokens.invoke(app, ["tokens", *words])
    assert ended.exit_code != 0
    assert ended.exception is not None

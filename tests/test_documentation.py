"""What is documented: every setting, every command, every make target."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main
from typer._click import exceptions as click
from typer.core import TyperGroup

from service.cli.app import app
from service.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = "\n".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
GROUP = cast("TyperGroup", typer.main.get_command(app))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_does(name: str) -> None:
    assert Settings.model_fields[name].description


@pytest.mark.parametrize("name", GROUP.commands)
def test_every_command_is_documented_and_teaches_by_its_help(name: str) -> None:
    assert f"tfbisect {name}" in PAGES
    assert GROUP.commands[name].help


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "serve", "clean"])
def test_every_target_of_the_contract_says_what_it_does(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*## \S", makefile, re.MULTILINE)
    recipe = makefile.split(f"\n{target}:", 1)[1].split("\n\n", 1)[0]
    assert "@echo" in recipe


FENCED = re.compile(r"^( *)```[a-z]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(tfbisect [^`\n]+)`")
BEFORE = re.compile(
    r"^(?:.*(?:\||&&|;|\$\(|!) *|(?:- )?run: *|[A-Z_]+=\S+ +|[*\d/ -]+ +\S+ +|\S*ExecStart=)*(?:\S*/)?tfbisect "
)
AFTER = re.compile(r"\s+(?:\||&&|\|\||>|<|2>|;).*$| +#.*$")
SHORTENED = re.compile(r" ?…|\[|\]|\.\.\.$")


def documented_commands() -> dict[str, list[str]]:
    """Map each tfbisect command in README and docs, as it is printed, to its words."""
    lines = [
        line.strip()
        for _, block in FENCED.findall(PAGES)
        for line in block.replace("\\\n", " ").splitlines()
        if BEFORE.match(line.strip())
    ]
    found = {}
    for line in [*lines, *INLINE.findall(FENCED.sub("", PAGES).replace("\n", " "))]:
        command = AFTER.sub("", BEFORE.sub("", line))
        if command and not SHORTENED.search(command):
            found[f"tfbisect {command}"] = shlex.split(command)
    return found


@pytest.mark.parametrize(("command", "words"), documented_commands().items())
def test_every_documented_command_is_one_that_this_program_takes(
    command: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken apart as it would be to run it: each option is there, and takes such a value."""
    monkeypatch.setenv("HOME", str(tmp_path))
    # These are done while they are read.
    words = [word for word in words if word not in {"--help", "--version", "--install-completion"}]
    try:
        take_apart(words)
    except (click.MissingParameter, click.BadOptionUsage):
        assert f"`{command}`" in PAGES.replace("\n", " "), "only within a sentence does a name stand for its command"


def take_apart(words: list[str]) -> None:
    """Read the words of a command line as the program does, and run nothing."""
    group: Any = GROUP
    context: Any = None
    name: str | None = "tfbisect"
    while True:
        context = group.make_context(name, list(words), parent=context)
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if not isinstance(group, TyperGroup) or not rest:
            return
        name, group, words = group.resolve_command(context, rest)


def test_a_command_that_is_not_there_would_be_found() -> None:
    for wrong in (["run", "x.py", "--relases", "1.9"], ["rnu", "x.py"], ["check", "x.py", "--fail-on", "never"]):
        with pytest.raises(click.UsageError):
            take_apart(wrong)


def test_documented_commands_are_found() -> None:
    found = documented_commands()
    assert len(found) > 60
    assert "tfbisect run my_project -- pytest tests" in found
    assert "tfbisect check model.py --from 2.15 --to 2.16" in found

"""What is documented: every setting, every command, every make target."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
import typer.main
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

"""What the image and the action install: what the program needs, as everything else has it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def pins(path: Path) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def test_the_image_installs_all_that_the_program_needs_at_the_locked_versions() -> None:
    whole, deployed = pins(ROOT / "requirements.lock"), pins(ROOT / "deploy" / "requirements.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    needed.add(canonicalize_name("distributed"))  # the image is that of schedulers and workers too
    made_by = "uv pip compile --universal --generate-hashes --extra workers --constraint requirements.lock …"
    assert needed <= deployed.keys(), made_by
    assert {name: whole.get(name) for name in deployed} == deployed, made_by

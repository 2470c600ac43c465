"""The system calls that a run may make: narrower than an engine's own profile, and shipped as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).with_name("seccomp.json")


@cache
def profile_text() -> str:
    """Return the profile as an engine's interface takes it, without spaces."""
    return json.dumps(json.loads(PROFILE.read_text(encoding="ascii")), separators=(",", ":"))


def allowed_calls() -> frozenset[str]:
    """Return the calls that the profile allows, some with certain arguments only."""
    rules = json.loads(profile_text())["syscalls"]
    return frozenset(name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"])


def takes_profiles(engine: Mapping[str, Any]) -> bool:
    """Say whether an engine can be given a profile with a container.

    Podman has the same interface and reads a path on its own machine where Docker reads the profile.

    Args:
        engine: the engine's own description of itself (GET /info).
    """
    filters = any("seccomp" in option for option in engine.get("SecurityOptions") or ())
    return filters and "BuildahVersion" not in engine

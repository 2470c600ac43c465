"""What an engine is and lacks, from its own description of itself; and what to do about what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.execution.hardening import missing_protections

NO_INIT = "no init program"
ADVICE = {
    r"(docker-init|catatonit|tini).*(not found|no such file)|(not found|no such file).*(docker-init|catatonit|tini)": (
        "install its init program: tini for Docker (Debian: tini), catatonit for Podman"
    ),
    r"(cgroup|controller).*(unknown version|invalid|hybrid|not mounted|not available|permission denied)": (
        "its runtime cannot use this machine's cgroups: let the engine use runc, or boot with cgroup version 2"
    ),
    r"rlimit|RLIMIT|ulimit": (
        "the engine's own limits of open files or processes are lower than what it gives to containers; set "
        "default_ulimits in containers.conf, or default-ulimits in daemon.json"
    ),
    r"(sub[ug]id|newuidmap|newgidmap)": "give the engine's user ranges in /etc/subuid and /etc/subgid",
    r"unknown or invalid runtime|runtime .* not found": "it does not know what TFBISECT_CONTAINER_RUNTIME names",
}
"""Part of an engine's message -> what to do."""


def advice_on(said: str) -> str:
    """Return what to do about an engine's message; "" where nothing is known."""
    return next((words for part, words in ADVICE.items() if re.search(part, said, re.IGNORECASE)), "")


def keeps_content(engine: Mapping[str, Any]) -> bool:
    """Return whether an engine has the containerd store: its layers are known by their content."""
    return any("containerd" in str(value) for _, value in engine.get("DriverStatus") or ())


def is_podman(engine: Mapping[str, Any]) -> bool:
    return "BuildahVersion" in engine


@dataclass(frozen=True)
class EngineFacts:
    """An engine in words."""

    name: str
    store: str
    cgroups: str
    rootless: bool
    missing: tuple[str, ...]

    def words(self) -> str:
        """Return it all in a line."""
        kind = ", rootless" if self.rootless else ""
        line = f"{self.name}{kind}; images in {self.store}; {self.cgroups}"
        return f"{line}. Missing: {', '.join(self.missing)}" if self.missing else line


def engine_facts(engine: Mapping[str, Any], version: Mapping[str, Any]) -> EngineFacts:
    """Read an engine's description of itself.

    Args:
        engine: GET /info.
        version: GET /version.
    """
    kind = "Podman" if is_podman(engine) else "Docker"
    driver = str(engine.get("Driver") or "an unknown driver")
    store = f"the containerd store ({driver})" if keeps_content(engine) else f"the driver {driver}"
    cgroups = f"cgroup version {engine.get('CgroupVersion') or 'unknown'} by {engine.get('CgroupDriver') or 'unknown'}"
    rootless = any("rootless" in option for option in engine.get("SecurityOptions") or ())
    missing = missing_protections(engine)
    if _lacks_init(version):
        missing += (NO_INIT,)
    return EngineFacts(f"{kind} {engine.get('ServerVersion') or 'unknown'}", store, cgroups, rootless, missing)


def _lacks_init(version: Mapping[str, Any]) -> bool:
    """Return whether an engine says that its init program cannot be run."""
    found = [part for part in version.get("Components") or () if part.get("Name") == "docker-init"]
    return any(part.get("Version") in ("", "N/A") for part in found)

"""The protections between a snippet and this machine; docs/security.md explains each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from service.cli.doctor import Finding
from service.execution.docker_engine import connect, engine_description, is_filtered
from service.execution.hardening import missing_protections
from service.execution.run_users import is_remapped
from service.execution.seccomp import takes_profiles
from service.settings import Settings

if TYPE_CHECKING:
    from service.bootstrap import House

OWN_KERNELS = ("runsc", "kata", "krun")
"""Prefixes of the names of runtimes with a separate kernel."""


def walls(house: House) -> list[Finding]:
    """Return the protections of the runner that this machine would use.

    Raises:
        TfbisectError: no runner, or its engine does not answer.
    """
    runner = house.runner
    if runner.name != "docker":
        return local_walls(runner.missing_protections())
    client = connect()
    try:
        return engine_walls(engine_description(client), house.settings, filtered=is_filtered(client.api))
    finally:
        client.close()


def local_walls(missing: tuple[str, ...]) -> list[Finding]:
    """Return the protections of the local runner, from the list of missing ones."""
    named = [Finding(words, "warning", "missing; docs/security.md says how to get it") for words in missing]
    advice = "do not offer a service with the local runner to people you do not trust; use Docker"
    return [Finding("runner", "warning", f"local: {advice}"), *named]


def engine_walls(engine: Mapping[str, Any], settings: Settings, *, filtered: bool) -> list[Finding]:
    """Return the protections of an engine, from its description of itself.

    Args:
        engine: GET /info.
        settings: of this service.
        filtered: the filter of deploy/ is in front of the engine's socket.
    """
    lacks = missing_protections(engine)
    fixed = [
        Finding("network, files, rights", "ok", "every container has none of the host's"),
        Finding("limits", "warning" if lacks else "ok", ", ".join(lacks) or "memory, swap, CPU, processes, files"),
        Finding("user", "ok", "every run has a user id that no other run has"),
    ]
    return [*fixed, *(look(engine, settings) for look in LOOKS), _filter_wall(filtered)]


def _system_calls(engine: Mapping[str, Any], settings: Settings) -> Finding:
    subject = "system calls"
    if not any("seccomp" in option for option in _options(engine)):
        return Finding(subject, "failure", "no filter: this engine was built or started without seccomp")
    if settings.system_calls == "engine":
        return Finding(subject, "warning", "the engine's own list; set TFBISECT_SYSTEM_CALLS=narrow to use tfbisect's")
    if not takes_profiles(engine):
        return Finding(subject, "warning", "the engine's own list: Podman accepts no other from its clients")
    return Finding(subject, "ok", "tfbisect's own list, narrower than the engine's")


def _root(engine: Mapping[str, Any], _: Settings) -> Finding:
    if is_remapped(engine):
        return Finding("root of a container", "ok", "is not root on this machine (user namespaces)")
    how = "start dockerd with --userns-remap=default, or use a rootless engine"
    return Finding("root of a container", "warning", f"is root on this machine, but no run is root; {how}")


def _kernel(engine: Mapping[str, Any], settings: Settings) -> Finding:
    subject, runtime = "kernel", settings.container_runtime
    if runtime and runtime not in (engine.get("Runtimes") or {}):
        return Finding(subject, "failure", f"TFBISECT_CONTAINER_RUNTIME={runtime}, which this engine does not have")
    if (runtime or str(engine.get("DefaultRuntime", ""))).startswith(OWN_KERNELS):
        return Finding(subject, "ok", f"runs have a kernel of their own, by {runtime or engine['DefaultRuntime']}")
    how = "install gVisor and set TFBISECT_CONTAINER_RUNTIME=runsc"
    return Finding(subject, "warning", f"runs share this machine's kernel; {how}")


def _modules(engine: Mapping[str, Any], _: Settings) -> Finding:
    found = [name for name in ("apparmor", "selinux") if any(name in option for option in _options(engine))]
    if found:
        return Finding("security module", "ok", found[0])
    return Finding(
        "security module",
        "warning",
        "neither AppArmor nor SELinux is active; use a kernel that has one, such as a distribution's",
    )


def _filter_wall(filtered: bool) -> Finding:
    if filtered:
        return Finding(
            "filter in front of the engine", "ok", "active: an attacker who takes over this process gets no further"
        )
    how = "docker-compose.yml adds deploy/engine_proxy.py"
    return Finding(
        "filter in front of the engine", "warning", f"none: this process can do everything that root can; {how}"
    )


LOOKS: tuple[Callable[[Mapping[str, Any], Settings], Finding], ...] = (_system_calls, _root, _kernel, _modules)


def _options(engine: Mapping[str, Any]) -> list[str]:
    return list(engine.get("SecurityOptions") or ())

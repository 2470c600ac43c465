"""What a container may do, from the limits: pure, so that every protection can be tested in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.execution.limits import Limits
from service.settings import GIB, Settings

OWNER_LABEL = "org.tfbisect.owner"
RUN_LABEL = "org.tfbisect.run"
EXPIRES_LABEL = "org.tfbisect.expires"

NANO = 1_000_000_000


@dataclass(frozen=True)
class Accelerators:
    """What a run on an accelerator is given."""

    devices: int = 1
    """How many; -1: all."""
    runtime: str = ""
    """The engine's runtime for accelerators, such as nvidia; "" for its default."""
    memory_bytes: int = 8 * GIB
    """Main memory: CUDA alone takes gigabytes of it."""


def run_environment(limits: Limits, hash_seed: int = 0) -> dict[str, str]:
    """Return the environment variables of the process that runs a probe."""
    threads = str(max(1, math.ceil(limits.cpus)))
    return {
        # Large pages where the machine gives them to who asks: a script that scales the digits touches 376 MB, and one
        # fault for each 4 KiB of it took a third of its time. A C library that does not know this ignores it.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "HOME": "/tmp",  # noqa: S108 - the run's own tmpfs
        "LANG": "C.UTF-8",
        "LOGNAME": "tfbisect",  # getpass.getuser() fails where a user has no passwd entry
        "OMP_NUM_THREADS": threads,  # one buffer per thread of the host would use up the memory limit
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": str(hash_seed),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TFBISECT_DATASETS": "/opt/tfbisect/datasets",
        "USER": "tfbisect",
    }


def container_config(
    image: str,
    command: Sequence[str],
    limits: Limits,
    *,
    user: int,
    labels: Mapping[str, str],
    runtime: str = "",
    seccomp: str = "",
    accelerators: Accelerators | None = None,
    hash_seed: int = 0,
    variables: Mapping[str, str] | None = None,
    init: bool = True,
    counts_files: bool = True,
) -> dict[str, Any]:
    """Return the body of the engine's call that creates the container of one run.

    Args:
        image: image id or reference.
        command: the process and its arguments.
        limits: bounds of the run.
        user: number of the run's own user and group; no file of an image belongs to it.
        labels: who started it and what for.
        runtime: the engine's runtime by name, such as runsc; "" takes the engine's default.
        seccomp: the profile of system calls, as JSON; "" leaves the engine's own.
        accelerators: what a run on an accelerator is given; None for a run on the CPU.
        hash_seed: PYTHONHASHSEED.
        variables: of the script; ours win.
        init: whether the engine's own init process comes first; a process that answers in children is the first one
            itself, since the kernel lets no child kill or stop it.
        counts_files: the engine takes a limit of files for folders in memory.
    """
    if accelerators:
        limits, runtime = replace(limits, memory_bytes=accelerators.memory_bytes), accelerators.runtime or runtime
        # The calls of accelerator drivers were not measured: they keep the engine's profile.
        seccomp = ""
    environment = {**(variables or {}), **run_environment(limits, hash_seed)}
    return {
        "Image": image,
        "Entrypoint": [],
        "Cmd": list(command),
        "User": f"{user}:{user}",
        "WorkingDir": "/tmp",  # noqa: S108 - the run's own tmpfs
        "Hostname": "probe",
        "Env": [f"{name}={value}" for name, value in sorted(environment.items())],
        "Labels": dict(labels),
        "NetworkDisabled": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "Tty": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(limits, runtime, seccomp, init=init, counts_files=counts_files)
        | _device_requests(accelerators),
    }


def _host_config(limits: Limits, runtime: str, seccomp: str, *, init: bool, counts_files: bool) -> dict[str, Any]:
    """Return what the host allows: everything else is denied."""
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Tmpfs": {
            "/tmp": _tmpfs(limits.tmpfs_bytes, limits.tmpfs_files if counts_files else 0),  # noqa: S108 - in the container, not here
            # Mounted here because the engine's own limit counts bytes only, and empty files have none.
            "/dev/shm": _tmpfs(limits.shared_memory_bytes, limits.shared_memory_files if counts_files else 0),  # noqa: S108 - likewise
        },
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", *([f"seccomp={seccomp}"] if seccomp else [])],
        "Privileged": False,
        "Init": init,
        "IpcMode": "private",
        "ShmSize": limits.shared_memory_bytes,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,  # equal to memory: no swap on top
        "NanoCpus": int(limits.cpus * NANO),
        "PidsLimit": limits.pids,
        "OomScoreAdj": 500,  # if the host runs out of memory, runs are killed before its own processes
        "Ulimits": [
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
    }
    return config | ({"Runtime": runtime} if runtime else {})


def _tmpfs(size_bytes: int, files: int) -> str:
    """Return the mount options of a folder in memory; 0 files: the system's own limit."""
    options = f"rw,nosuid,nodev,noexec,mode=1777,size={size_bytes}"
    return f"{options},nr_inodes={files}" if files else options


def accelerators_of(settings: Settings) -> Accelerators:
    """Return what the settings give to a run on an accelerator."""
    return Accelerators(settings.gpu_devices, settings.gpu_runtime, settings.gpu_memory_bytes)


def _device_requests(accelerators: Accelerators | None) -> dict[str, Any]:
    """Request devices by capability; an engine without them refuses to start the container."""
    if accelerators is None:
        return {}
    return {"DeviceRequests": [{"Driver": "", "Count": accelerators.devices, "Capabilities": [["gpu", "compute"]]}]}


_ENGINE_ABILITIES = {
    "MemoryLimit": "no memory limit",
    "SwapLimit": "no swap limit",
    "CpuCfsQuota": "no CPU limit",
    "PidsLimit": "no limit of processes",
}


def counts_files(engine: Mapping[str, Any]) -> bool:
    """Return whether an engine takes a limit of files for a folder in memory; Podman refuses the option."""
    return "BuildahVersion" not in engine


def missing_protections(engine: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the protections that this engine cannot give.

    Args:
        engine: the engine's own description of itself (GET /info).
    """
    options = engine.get("SecurityOptions") or ()
    # Without root, version 1 of cgroups gives no limits, whatever the engine says of itself.
    limits_nothing = str(engine.get("CgroupVersion")) == "1" and any("rootless" in option for option in options)
    missing = [words for ability, words in _ENGINE_ABILITIES.items() if limits_nothing or not engine.get(ability)]
    if not any("seccomp" in option for option in options):
        missing.append("no system call filter")
    if not counts_files(engine):
        missing.append("no limit of empty files in memory")
    return tuple(missing)

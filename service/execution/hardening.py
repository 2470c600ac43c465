"""From limits to what a container may do: pure, so that every protection can be read and tested in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from service.execution.limits import Limits

RUN_USER = "65532:65532"
"""Neither root nor anybody: no file of an image belongs to it."""

OWNER_LABEL = "org.tfbisect.owner"
RUN_LABEL = "org.tfbisect.run"
EXPIRES_LABEL = "org.tfbisect.expires"

NANO = 1_000_000_000


def run_environment(limits: Limits) -> dict[str, str]:
    """Return the environment variables of the process that runs a probe."""
    threads = str(max(1, math.ceil(limits.cpus)))
    return {
        "HOME": "/tmp",  # noqa: S108 - the run's own tmpfs
        "LANG": "C.UTF-8",
        "LOGNAME": "tfbisect",  # getpass.getuser() fails where a user has no passwd entry
        "OMP_NUM_THREADS": threads,  # one buffer per thread of the host would eat the memory limit
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TFBISECT_DATASETS": "/opt/tfbisect/datasets",
        "USER": "tfbisect",
    }


def container_config(
    image: str,
    command: Sequence[str],
    limits: Limits,
    *,
    labels: Mapping[str, str],
    runtime: str = "",
    devices: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the body of the engine's call that creates the container of one run.

    Args:
        image: image id or reference.
        command: the process and its arguments.
        limits: bounds of the run.
        labels: who started it and what for.
        runtime: the engine's runtime by name, such as runsc; "" takes the engine's default.
        devices: what a run on a device asks for on top; see devices.DeviceOptions.
    """
    return {
        "Image": image,
        "Entrypoint": [],
        "Cmd": list(command),
        "User": RUN_USER,
        "WorkingDir": "/tmp",  # noqa: S108 - the run's own tmpfs
        "Hostname": "probe",
        "Env": [f"{name}={value}" for name, value in sorted(run_environment(limits).items())],
        "Labels": dict(labels),
        "NetworkDisabled": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "Tty": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(limits, runtime) | dict(devices or {}),
    }


def _host_config(limits: Limits, runtime: str) -> dict[str, Any]:
    """Return what the host allows: everything that is not named here is denied."""
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": f"rw,nosuid,nodev,noexec,mode=1777,size={limits.tmpfs_bytes}"},  # noqa: S108
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Privileged": False,
        "Init": True,
        "IpcMode": "private",
        "ShmSize": limits.shared_memory_bytes,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,  # equal to memory: no swap on top
        "NanoCpus": int(limits.cpus * NANO),
        "PidsLimit": limits.pids,
        "OomScoreAdj": 500,  # where the host itself runs short, a run goes before the host's own processes
        "Ulimits": [
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
    }
    return config | ({"Runtime": runtime} if runtime else {})


_ENGINE_ABILITIES = {
    "MemoryLimit": "no memory limit",
    "SwapLimit": "no swap limit",
    "CpuCfsQuota": "no CPU limit",
    "PidsLimit": "no limit of processes",
}


def missing_protections(engine: Mapping[str, Any]) -> tuple[str, ...]:
    """Say which protections this engine cannot give.

    Args:
        engine: the engine's own description of itself (GET /info).
    """
    missing = [words for ability, words in _ENGINE_ABILITIES.items() if not engine.get(ability, True)]
    if not any("seccomp" in option for option in engine.get("SecurityOptions") or ()):
        missing.append("no system call filter")
    return tuple(missing)

"""From settings to the device that a container of a CUDA release is given. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from service.bisection.outcomes import RunReport
from service.execution.runner import Hardware
from service.settings import Settings

NO_DEVICE = "no CUDA device: this machine's engine has none to give; run on a machine with one, or use --hardware cpu"
REFUSALS = ("could not select device driver", "unknown or invalid runtime name", "nvidia-container-cli")


@dataclass(frozen=True)
class DeviceOptions:
    """What a run on CUDA asks of the engine."""

    count: int = 1
    """How many devices; -1 asks for all."""
    memory_bytes: int = 0
    """Memory of the run; CUDA's libraries alone take more than a run on the CPU."""
    runtime: str = ""
    """The engine's runtime for devices, such as nvidia; "" takes its default."""

    def host_config(self, hardware: Hardware) -> dict[str, Any]:
        """Return what is laid over a container's host configuration; nothing for the CPU."""
        if hardware != "cuda":
            return {}
        request = {"Driver": "", "Count": self.count, "Capabilities": [["gpu"]]}
        options: dict[str, Any] = {"DeviceRequests": [request]}
        if self.memory_bytes:
            options |= {"Memory": self.memory_bytes, "MemorySwap": self.memory_bytes}
        if self.runtime:
            options["Runtime"] = self.runtime
        return options


def device_options_of(settings: Settings) -> DeviceOptions:
    """Return the device options that the settings ask for."""
    return DeviceOptions(settings.cuda_devices, settings.cuda_memory_bytes, settings.cuda_runtime)


def is_refused_device(complaint: str) -> bool:
    """Say whether an engine's complaint means that it has no device to give."""
    return any(sign in complaint for sign in REFUSALS)


def without_device(report: RunReport, hardware: Hardware) -> RunReport:
    """Return a report as it is, unless a run on CUDA fell back to the CPU: that says nothing about CUDA."""
    if hardware != "cuda" or report.device != "cpu":
        return report
    return replace(report, ending="unprepared", reason=NO_DEVICE, result=None)

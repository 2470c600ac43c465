"""What an engine is and lacks, from descriptions that real engines gave."""

from __future__ import annotations

from typing import Any

import pytest

from service.execution.docker_engine import refusal
from service.execution.engine_words import engine_facts, keeps_content

ABLE = {"MemoryLimit": True, "SwapLimit": True, "CpuCfsQuota": True, "PidsLimit": True}
DEBIAN = ABLE | {
    "ServerVersion": "20.10.24+dfsg1",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
    "CgroupDriver": "cgroupfs",
    "CgroupVersion": "1",
    "SecurityOptions": ["name=seccomp,profile=default"],
}
NEWER = DEBIAN | {
    "ServerVersion": "28.5.2",
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "CgroupVersion": "2",
}


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (DEBIAN, "Docker 20.10.24+dfsg1; images in the driver overlay2; cgroup version 1 by cgroupfs"),
        (NEWER, "Docker 28.5.2; images in the containerd store (overlayfs); cgroup version 2 by cgroupfs"),
        (
            {
                "BuildahVersion": "1.42",
                "ServerVersion": "5.8.6",
                "Driver": "overlay",
                "CgroupDriver": "cgroupfs",
                "CgroupVersion": "1",
                "SecurityOptions": ["name=seccomp", "name=rootless"],
            },
            (
                "Podman 5.8.6, rootless; images in the driver overlay; cgroup version 1 by cgroupfs. "
                "Missing: no memory limit, no swap limit, no CPU limit, no limit of processes, "
                "no limit of empty files in memory"
            ),
        ),
    ],
)
def test_an_engine_is_named_with_its_store_and_what_it_lacks(engine: dict[str, Any], words: str) -> None:
    assert engine_facts(engine, {}).words() == words


def test_an_engine_without_an_init_program_lacks_one() -> None:
    components = {"Components": [{"Name": "docker-init", "Version": "N/A"}]}
    assert engine_facts(DEBIAN, components).missing == ("no init program",)
    assert engine_facts(DEBIAN, {"Components": [{"Name": "docker-init", "Version": "0.19.0"}]}).missing == ()


def test_a_store_of_content_is_told_from_a_graph_driver() -> None:
    assert (keeps_content(DEBIAN), keeps_content(NEWER), keeps_content({})) == (False, True, False)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('exec: "docker-init": executable file not found in $PATH', "install its init program"),
        ("looking up catatonit: no such file or directory", "catatonit for Podman"),
        ("crun: creating cgroup: invalid cgroup hierarchy", "let the engine use runc"),
        ("error setting rlimit type 7: operation not permitted", "default_ulimits"),
        ("something else", "journalctl"),
    ],
)
def test_what_an_engine_says_comes_with_what_to_do(said: str, advice: str) -> None:
    assert advice in refusal("start a container", said).message

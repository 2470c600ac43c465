"""Each protection of a container, read off the options that the engine gets."""

from typing import Any

import pytest

from service.execution.hardening import Accelerators, container_config, missing_protections, run_environment
from service.execution.limits import Limits, limits_of
from service.settings import Settings

LIMITS = Limits(
    memory_bytes=1000,
    cpus=1.5,
    pids=64,
    tmpfs_bytes=2000,
    tmpfs_files=50,
    open_files=100,
    shared_memory_bytes=300,
    shared_memory_files=20,
)
ABLE = {"MemoryLimit": True, "SwapLimit": True, "CpuCfsQuota": True, "PidsLimit": True}


def host(**changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = container_config("image", ["python"], LIMITS, user=7, labels={}, **changes)["HostConfig"]
    return config


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("NetworkMode", "none"),
        ("ReadonlyRootfs", True),
        ("CapDrop", ["ALL"]),
        ("SecurityOpt", ["no-new-privileges:true"]),
        ("Privileged", False),
        ("Init", True),
        ("IpcMode", "private"),
        ("Memory", 1000),
        ("MemorySwap", 1000),
        ("NanoCpus", 1_500_000_000),
        ("PidsLimit", 64),
        ("ShmSize", 300),
        ("LogConfig", {"Type": "none", "Config": {}}),
        (
            "Tmpfs",
            {
                "/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=2000,nr_inodes=50",
                "/dev/shm": "rw,nosuid,nodev,noexec,mode=1777,size=300,nr_inodes=20",
            },
        ),
    ],
)
def test_a_container_is_started_with(option: str, value: object) -> None:
    assert host()[option] == value


def test_an_engine_that_refuses_a_limit_of_files_is_not_given_one() -> None:
    assert all("nr_inodes" not in options for options in host(counts_files=False)["Tmpfs"].values())
    assert "no limit of empty files in memory" in missing_protections(ABLE | {"BuildahVersion": "1.42"})


def test_a_rootless_engine_on_version_1_of_cgroups_limits_nothing_although_it_says_so() -> None:
    engine = ABLE | {"SecurityOptions": ["name=seccomp", "name=rootless"], "CgroupVersion": "1"}
    assert missing_protections(engine) == ("no memory limit", "no swap limit", "no CPU limit", "no limit of processes")
    assert missing_protections(engine | {"CgroupVersion": "2"}) == ()


def test_a_container_dumps_no_core_and_opens_a_bounded_number_of_files() -> None:
    assert {limit["Name"]: limit["Hard"] for limit in host()["Ulimits"]} == {"nofile": 100, "core": 0}


@pytest.mark.parametrize("gift", ["Binds", "Mounts", "Devices", "CapAdd", "VolumesFrom", "PidMode", "UsernsMode"])
def test_a_container_gets_nothing_of_the_host(gift: str) -> None:
    assert gift not in host()


def test_a_container_runs_as_a_user_that_is_not_root_and_has_no_network_device() -> None:
    config = container_config("image", ["python"], LIMITS, user=7, labels={"a": "b"})
    assert config["User"] == "7:7"
    assert config["NetworkDisabled"] is True
    assert config["Labels"] == {"a": "b"}
    assert config["Entrypoint"] == []


def test_the_hosts_environment_does_not_reach_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    assert "hunter2" not in str(container_config("image", ["python"], LIMITS, user=7, labels={}))


def test_a_runtime_is_named_only_where_one_is_set() -> None:
    assert "Runtime" not in host()
    assert host(runtime="runsc")["Runtime"] == "runsc"


def test_thread_pools_are_no_larger_than_the_cpus_allowed() -> None:
    assert run_environment(LIMITS)["OMP_NUM_THREADS"] == "2"


def test_large_arrays_are_given_large_pages_where_the_machine_has_them() -> None:
    assert run_environment(LIMITS)["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"


@pytest.mark.parametrize(
    ("engine", "missing"),
    [
        ({**ABLE, "SecurityOptions": ["name=seccomp,profile=default"]}, ()),
        ({**ABLE, "MemoryLimit": False, "SecurityOptions": ["name=seccomp"]}, ("no memory limit",)),
        ({**ABLE, "PidsLimit": False, "SecurityOptions": None}, ("no limit of processes", "no system call filter")),
        # What it does not speak of it is not trusted with.
        (
            {},
            ("no memory limit", "no swap limit", "no CPU limit", "no limit of processes", "no system call filter"),
        ),
    ],
)
def test_an_engine_that_cannot_limit_is_found_out(engine: dict[str, Any], missing: tuple[str, ...]) -> None:
    assert missing_protections(engine) == missing


def test_limits_follow_the_settings() -> None:
    limits = limits_of(Settings(memory_bytes=5, cpus=2.0, pids=3, tmpfs_bytes=4, output_bytes=6, flood_bytes=7))
    assert limits == Limits(memory_bytes=5, cpus=2.0, pids=3, tmpfs_bytes=4, output_bytes=6, flood_bytes=7)


def test_a_profile_of_system_calls_is_given_to_runs_on_the_cpu_only() -> None:
    assert host(seccomp="{}")["SecurityOpt"] == ["no-new-privileges:true", "seccomp={}"]
    assert host(seccomp="{}", accelerators=Accelerators())["SecurityOpt"] == ["no-new-privileges:true"]


def test_only_a_run_on_an_accelerator_asks_for_devices_and_gets_the_memory_that_they_need() -> None:
    assert "DeviceRequests" not in host()
    given = host(accelerators=Accelerators(devices=2, runtime="nvidia", memory_bytes=5000), runtime="runsc")
    assert given["DeviceRequests"] == [{"Driver": "", "Count": 2, "Capabilities": [["gpu", "compute"]]}]
    assert (given["Runtime"], given["Memory"], given["MemorySwap"]) == ("nvidia", 5000, 5000)
    assert (given["CapDrop"], given["NetworkMode"], given["ReadonlyRootfs"]) == (["ALL"], "none", True)


def test_a_variable_of_the_script_is_there_before_the_release_is_imported_and_never_replaces_ours() -> None:
    asked = {"TF_USE_LEGACY_KERAS": "1", "HOME": "/root"}
    said = container_config("image", ["python"], LIMITS, user=7, labels={}, variables=asked)["Env"]
    assert "TF_USE_LEGACY_KERAS=1" in said
    assert [each for each in said if each.startswith("HOME=")] == ["HOME=/tmp"]

"""The profile of system calls: what it allows, and that what it forbids gives an error while probes go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.execution.seccomp import allowed_calls, profile_text, takes_profiles
from tests.execution.conftest import Stage

MEASURED = Path(__file__).parent.parent.parent / "benchmarks" / "results" / "system_calls.json"
# The C library takes clone where clone3 is missing; 2.21.0 tries mbind, which engines refuse too, and goes on.
DONE_WITHOUT = {"clone3", "mbind"}
NEVER = {
    "add_key", "bpf", "chroot", "delete_module", "fanotify_init", "finit_module", "fsopen", "init_module",
    "inotify_init", "inotify_init1",
    "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kexec_load", "keyctl", "mbind",
    "memfd_secret", "modify_ldt", "mount", "move_mount", "mq_open", "msgget", "name_to_handle_at", "open_by_handle_at",
    "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise", "process_vm_readv",
    "process_vm_writev", "ptrace", "quotactl", "reboot", "remap_file_pages", "request_key", "semget", "setns", "shmget",
    "swapon", "syslog", "umount2", "unshare", "userfaultfd", "vmsplice",
}  # fmt: skip


def test_every_call_that_was_measured_in_a_release_is_allowed() -> None:
    measured = json.loads(MEASURED.read_text())
    made = {call for calls in measured.values() for call in calls}
    assert made - allowed_calls() == DONE_WITHOUT
    assert len(measured) == 9


def test_calls_that_no_run_needs_are_not() -> None:
    assert allowed_calls() & NEVER == set()


def test_whatever_is_not_named_is_refused_with_an_error() -> None:
    profile = json.loads(profile_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {rule["action"] for rule in profile["syscalls"]} == {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"}


@pytest.mark.parametrize(
    ("engine", "takes"),
    [
        ({"SecurityOptions": ["name=seccomp,profile=default"]}, True),
        ({"SecurityOptions": ["name=seccomp,profile=default"], "BuildahVersion": "1.41"}, False),
        ({"SecurityOptions": ["name=apparmor"]}, False),
        ({}, False),
    ],
)
def test_only_an_engine_that_can_take_a_profile_is_given_one(engine: dict[str, object], takes: bool) -> None:
    assert takes_profiles(engine) is takes


@pytest.mark.containers
def test_a_forbidden_call_gives_an_error_and_the_run_goes_on(docker_stage: Stage) -> None:
    if docker_stage.lacks("no system call filter"):
        pytest.skip("this engine has no filter of system calls")
    result = docker_stage.run("forbidden_calls").result or {}
    answers = result["measurements"]["x"]
    assert {name: error for name, error in answers.items() if error not in (1, 38)} == {}

"""The system calls that are refused to bubblewrap's processes: a program for the kernel's seccomp filter.

An engine brings a filter of its own. Bubblewrap takes one as the kernel does: instructions of 8 bytes that look at the
number of a call and at its arguments. Named here is what no framework needs and what would reach past the walls: the
keyrings that a process inherits, memory that no process maps and no watch counts, namespaces of its own, and the
parts of the kernel where most ways out of containers were found.

Source: seccomp(2), linux/filter.h; numbers from the kernel's syscall_64.tbl.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterable

MACHINE = "x86_64"
"""System call numbers differ by machine; on others there is no filter, and the runner says so."""
X86_64 = 0xC000003E
FIRST_X32_CALL = 0x40000000
"""The same calls under other numbers."""

REFUSED = {
    # Keys: a session's keyring is inherited, and whoever has it reads what the service put there.
    "add_key": 248, "request_key": 249, "keyctl": 250,
    # Large and young parts of the kernel.
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "io_setup": 206, "fanotify_init": 300, "lookup_dcookie": 212, "vmsplice": 278,
    "landlock_create_ruleset": 444, "mbind": 237,
    # What outlives a process and is counted per machine.
    "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240,
    # Namespaces and mounts.
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "name_to_handle_at": 303, "open_by_handle_at": 304,
    # Other processes.
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "pidfd_getfd": 438, "kcmp": 312,
    # The machine.
    "init_module": 175, "delete_module": 176, "finit_module": 313, "kexec_load": 246, "kexec_file_load": 320,
    "reboot": 169, "swapon": 167, "swapoff": 168, "acct": 163, "quotactl": 179, "sethostname": 170,
    "setdomainname": 171, "iopl": 172, "ioperm": 173, "syslog": 103, "settimeofday": 164, "clock_settime": 227,
    "clock_adjtime": 305, "adjtimex": 159, "personality": 135,
}  # fmt: skip
UNKNOWN = {
    # Answered as by an older kernel, so that libraries use a fallback. A filter cannot see the flags of clone3.
    "clone3": 435,
    # Memory that belongs to no process and is not counted.
    "memfd_create": 319, "memfd_secret": 447,
}  # fmt: skip
CLONE, SOCKET = 56, 41
NEW_NAMESPACES = 0x7E020000
"""The flags of clone that ask for namespaces."""
FAMILIES = (1, 2, 10, 16)
"""Sockets: unix, IPv4, IPv6, netlink. A virtual machine's own (vsock) reaches its host past every namespace."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000

Instruction = tuple[int, int, int, int]
"""Operation, how many to skip where it holds, how many where not, operand."""


def call_filter(machine: str = "") -> bytes:
    """Return the filter as the kernel takes it; empty where there is none for this kind of machine."""
    if (machine or platform.machine()) != MACHINE:
        return b""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _MACHINE),
        *_unless((_EQUAL, X86_64), _refuse(errno.EPERM)),
        (_LOAD, 0, 0, _NUMBER),
        *_where((_AT_LEAST, FIRST_X32_CALL), [_refuse(errno.EPERM)]),
        *(line for number in REFUSED.values() for line in _where((_EQUAL, number), [_refuse(errno.EPERM)])),
        *(line for number in UNKNOWN.values() for line in _where((_EQUAL, number), [_refuse(errno.ENOSYS)])),
        *_where((_EQUAL, CLONE), _on_argument([(_ANY_BIT, NEW_NAMESPACES)], _refuse(errno.EPERM), _allow())),
        *_where((_EQUAL, SOCKET), _on_argument([(_EQUAL, one) for one in FAMILIES], _allow(), _refuse(_NO_FAMILY))),
        _allow(),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


_NO_FAMILY = errno.EAFNOSUPPORT


def _allow() -> Instruction:
    return (_RETURN, 0, 0, _ALLOW)


def _refuse(error: int) -> Instruction:
    return (_RETURN, 0, 0, _ERROR | error)


def _where(test: tuple[int, int], then: list[Instruction]) -> list[Instruction]:
    """Return instructions that run if the test holds, and are skipped otherwise."""
    return [(test[0], 0, len(then), test[1]), *then]


def _unless(test: tuple[int, int], then: Instruction) -> list[Instruction]:
    """Return one instruction that runs if the test does not hold."""
    return [(test[0], 1, 0, test[1]), then]


def _on_argument(tests: Iterable[tuple[int, int]], then: Instruction, otherwise: Instruction) -> list[Instruction]:
    """Return instructions that return one value if a test of the first argument holds, else another."""
    lines = [line for test in tests for line in _where(test, [then])]
    return [(_LOAD, 0, 0, _FIRST_ARGUMENT), *lines, otherwise]

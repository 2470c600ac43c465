"""The filter of system calls, read as the kernel reads it; the attacks try it for real."""

from __future__ import annotations

import errno
import struct

import pytest

from service.execution.call_filter import REFUSED, UNKNOWN, X86_64, call_filter

ALLOWED = 0
READ, CLONE, SOCKET = 0, 56, 41
NEW_USER, THREAD_FLAGS, FORK_FLAGS = 0x10000000, 0x3D0F00, 0x01200011


def answer(number: int, argument: int = 0, machine: int = X86_64) -> int:
    """Return the error that a call gets; 0 where it is allowed. Source: the kernel's networking/filter.rst."""
    program = list(struct.iter_unpack("=HBBI", call_filter("x86_64")))
    given = {0: number, 4: machine, 16: argument}
    at = loaded = 0
    while True:
        operation, held, otherwise, operand = program[at]
        at += 1
        match operation:
            case 0x20:
                loaded = given[operand]
            case 0x15 | 0x35 | 0x45:
                holds = {0x15: loaded == operand, 0x35: loaded >= operand, 0x45: bool(loaded & operand)}[operation]
                at += held if holds else otherwise
            case 0x06:
                return ALLOWED if operand == 0x7FFF0000 else operand & 0xFFFF
            case _:
                raise AssertionError(f"instruction {operation:#x} is none of those that the filter uses")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_named_is_refused(name: str) -> None:
    assert answer(REFUSED[name]) == errno.EPERM


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_another_way_is_as_if_the_kernel_were_older(name: str) -> None:
    assert answer(UNKNOWN[name]) == errno.ENOSYS


@pytest.mark.parametrize(
    ("number", "argument", "machine", "expected"),
    [
        (READ, 0, X86_64, ALLOWED),
        (59, 0, X86_64, ALLOWED),  # execve
        (334, 0, X86_64, ALLOWED),  # rseq
        (CLONE, THREAD_FLAGS, X86_64, ALLOWED),
        (CLONE, FORK_FLAGS, X86_64, ALLOWED),
        (CLONE, FORK_FLAGS | NEW_USER, X86_64, errno.EPERM),
        (SOCKET, 1, X86_64, ALLOWED),
        (SOCKET, 10, X86_64, ALLOWED),
        (SOCKET, 40, X86_64, errno.EAFNOSUPPORT),  # a virtual machine's host
        (SOCKET, 38, X86_64, errno.EAFNOSUPPORT),  # the kernel's ciphers
        (READ | 0x40000000, 0, X86_64, errno.EPERM),
        (READ, 0, 0x40000003, errno.EPERM),  # 32 bits, where the numbers mean other calls
    ],
)
def test_the_rest_is_judged_by_its_arguments(number: int, argument: int, machine: int, expected: int) -> None:
    assert answer(number, argument, machine) == expected


def test_machines_with_other_numbers_have_no_filter() -> None:
    assert call_filter("aarch64") == b""

"""Protections for processes without a container engine: bubblewrap, a user of its own, kernel limits."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from service.errors import EngineLost
from service.execution.call_filter import call_filter
from service.execution.limits import Limits
from service.execution.run_users import LOCAL_USERS

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
TRY_SECONDS = 20
PROGRAM_FOLDERS = "/usr/bin:/bin"


@dataclass(frozen=True)
class Sandbox:
    """The protections that work on this machine, each tested with a process."""

    bubblewrap: bool = False
    """Namespaces of its own: no network, only the named files, no other processes."""
    own_user: bool = False
    """Started by root, a run continues as a user that owns nothing."""
    kernel_limits: bool = False
    """prlimit is available: processes, files, address space."""
    call_filter: bool = False
    """System calls that no framework needs are refused to bubblewrap's processes; see call_filter.py."""
    as_root: bool = False

    def wrap(
        self,
        command: Sequence[str],
        readable: Sequence[Path],
        limits: Limits,
        *,
        seconds: float,
        user: int,
        first: bool = False,
        filter_descriptor: int | None = None,
    ) -> list[str]:
        """Return the command with all protections around it.

        Args:
            command: what to run.
            readable: files and folders that it may read, beside the system's own.
            limits: bounds of the run.
            seconds: wall clock of the run; the limit of CPU time follows from it.
            user: number of the user to run as, where `own_user` is given.
            first: whether it is the first process of its table, in the place of bubblewrap's own.
            filter_descriptor: what bubblewrap reads its filter of system calls from, where `call_filter` is given.
        """
        inner = [*self._user(user), *self._limits(limits, seconds), *command]
        if not self.bubblewrap:
            return inner
        filtered = ["--seccomp", str(filter_descriptor)] if filter_descriptor is not None else []
        return [*self._namespaces(readable, limits, filtered, first=first), *inner]

    @contextmanager
    def filter_to_read(self) -> Iterator[int | None]:
        """Open the file from which bubblewrap reads its system call filter; None without a filter."""
        if not self.call_filter:
            yield None
            return
        with tempfile.TemporaryFile() as file:
            file.write(call_filter())
            file.seek(0)
            yield file.fileno()

    def missing(self) -> tuple[str, ...]:
        """Return the missing protections in words."""
        gaps = {
            "no network isolation": self.bubblewrap,
            "no file system isolation": self.bubblewrap,
            "processes of others can be seen": self.bubblewrap,
            "runs as root": self.own_user or not self.as_root,
            # The kernel does not count root's processes.
            "no limit of processes": self.kernel_limits and (self.own_user or not self.as_root),
            "no limit of files and address space": self.kernel_limits,
            "memory is watched from outside, not limited by the kernel as a whole": False,
            "memory of a run's children is not watched": _kernel_lists_children(),
            # The kernel counts these per user.
            "handles of inotify, pages of pipes, keys and message queues are shared with other runs": self.own_user,
            "no limit of files in /tmp": self.bubblewrap,
            "no share of CPU": False,
            "no system call filter": self.call_filter,
        }
        return tuple(words for words, given in gaps.items() if not given)

    def _namespaces(
        self, readable: Sequence[Path], limits: Limits, filtered: Sequence[str], *, first: bool
    ) -> list[str]:
        command = ["bwrap", "--die-with-parent", "--new-session", "--hostname", "probe", "--unshare-uts"]
        command += ["--as-pid-1"] * first
        command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-cgroup-try"]
        # Root needs no user namespace, and inside one it could not become another user.
        command += ["--cap-drop", "ALL", *(_KEPT_CAPABILITIES if self.own_user else ["--unshare-user"])]
        command += ["--proc", "/proc", "--dev", "/dev"]
        command += ["--perms", "1777", "--size", str(limits.shared_memory_bytes), "--tmpfs", "/dev/shm"]  # noqa: S108
        command += ["--perms", "1777", "--size", str(limits.tmpfs_bytes), "--tmpfs", "/tmp"]  # noqa: S108
        for path in SYSTEM_FOLDERS:
            command += ["--ro-bind-try", path, path]
        for folder in readable:
            # Made by name: bubblewrap closes the parents that it makes by itself to all but root.
            for parent in reversed(folder.parents[:-1]):
                command += ["--perms", "0755", "--dir", str(parent)]
            command += ["--ro-bind", str(folder), str(folder)]
        return [*command, *filtered, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--"]  # noqa: S108 - the run's own

    def _user(self, user: int) -> list[str]:
        if not self.own_user:
            return []
        who = ["--reuid", str(user), "--regid", str(user), "--clear-groups"]
        return ["setpriv", *who, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]

    def _limits(self, limits: Limits, seconds: float) -> list[str]:
        if not self.kernel_limits:
            return []
        # The kernel counts processes per user: without a user of its own, others' processes count too.
        processes = limits.pids + (0 if self.own_user else processes_of(os.getuid()))
        cpu_seconds = math.ceil(seconds * (os.cpu_count() or 1)) + 10
        return [
            "prlimit",
            "--core=0",
            f"--nofile={limits.open_files}",
            f"--nproc={processes}",
            f"--fsize={limits.tmpfs_bytes}",
            f"--data={limits.memory_bytes}",
            f"--cpu={cpu_seconds}",
        ]


_KEPT_CAPABILITIES = ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP")


@cache
def find_sandbox(python: Path, bubblewrap: bool = True) -> Sandbox:
    """Return the strongest sandbox that works on this machine, tested with a process.

    Args:
        python: the interpreter that runs will use, in its virtual environment: where a user of its own cannot reach
            it, that means is out.
        bubblewrap: False does without it even where it works.

    Raises:
        EngineLost: a try took so long that nothing can be said of what works; nothing weaker is taken for that.
    """
    root = os.getuid() == 0
    limits = shutil.which("prlimit") is not None
    for namespaces in (True, False) if bubblewrap else (False,):
        for own_user in (True, False) if root else (False,):
            for filtered in (True, False) if namespaces and call_filter() else (False,):
                sandbox = Sandbox(namespaces, own_user, kernel_limits=limits, call_filter=filtered, as_root=root)
                if _works(sandbox, python):
                    return sandbox
    return Sandbox(as_root=root)


def _kernel_lists_children() -> bool:
    """Return whether the kernel lists a process's children; without it only the first process is watched."""
    return any(Path("/proc/self/task").glob("*/children"))


def readable_for(python: Path) -> list[Path]:
    """Return the folders that an interpreter needs: its own, and that of its virtual environment."""
    return [python.resolve().parent.parent, python.parent.parent]


def _works(sandbox: Sandbox, python: Path) -> bool:
    """Run an interpreter in it."""
    command = [str(python), "-c", "import json"]
    readable, variables = readable_for(python), {"PATH": PROGRAM_FOLDERS}
    wrapped: list[str] = []
    try:
        with sandbox.filter_to_read() as descriptor:
            wrapped = sandbox.wrap(
                command,
                readable,
                Limits(),
                seconds=TRY_SECONDS,
                user=LOCAL_USERS.first,
                filter_descriptor=descriptor,
            )
            done = subprocess.run(
                wrapped,
                capture_output=True,
                timeout=TRY_SECONDS,
                check=False,
                cwd="/",
                env=variables,
                pass_fds=[] if descriptor is None else [descriptor],
            )
    except OSError:
        return False
    except subprocess.TimeoutExpired as error:
        raise EngineLost(
            f"cannot check the protections of a run, this machine is too busy: {wrapped[0]} took more than "
            f"{TRY_SECONDS} s; try again."
        ) from error
    return done.returncode == 0


def processes_of(user: int) -> int:
    """Return how many threads a user's processes have."""
    return sum(_threads(entry) for entry in Path("/proc").glob("[0-9]*") if _owner(entry) == user)


def _threads(entry: Path) -> int:
    try:
        return sum(1 for _ in (entry / "task").iterdir())
    except OSError:
        return 0


def _owner(entry: Path) -> int | None:
    try:
        return entry.stat().st_uid
    except OSError:
        return None

"""Runs probes as processes of this machine, for machines without a container engine."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

from service.bisection.outcomes import RunReport
from service.catalog.targets import Target
from service.errors import EngineLost, ReleaseUntestable
from service.execution.channel import BOOT, Transcript
from service.execution.conversation import Exit, exit_of
from service.execution.environment_folders import EnvironmentFolders, InstallableEnvironments
from service.execution.hardening import run_environment
from service.execution.limits import Limits
from service.execution.processes import descendants, files_in, has_left_our_root, kill_marked, takes_more_than
from service.execution.run_users import LOCAL_USERS, RunUsers, users_at_work
from service.execution.runner import RunRequest
from service.execution.sandbox import PROGRAM_FOLDERS, Sandbox, find_sandbox, readable_for
from service.execution.sessions import Place, ResolvedEnvironment, SessionRunner, Start, Waits
from service.scratch import make_scratch_folder

RECEIVE_BYTES = 256 * 1024
EXIT_WAIT_SECONDS = 3
MARK = "TFBISECT_RUN"
IN_MEMORY = ("/tmp", "/dev/shm")  # noqa: S108 - a run's own


class ProcessSession:
    """A process of this machine with its channel; see conversation.Session."""

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        limits: Limits,
        home: Path,
        *,
        user: int | None,
        enclosed: bool,
        handed_on: Sequence[int],
        gone: Callable[[], None],
    ) -> None:
        """Start a process.

        Args:
            command: it, with all that protects around it.
            variables: its environment.
            limits: what is watched from outside.
            home: its folder, removed in the end.
            user: the number of its own user; None where it has none.
            enclosed: the process that we see is bubblewrap, which what runs cannot reach.
            handed_on: descriptors that it gets too.
            gone: called when nothing of it is left.
        """
        self._home = home
        self._user = user
        self._enclosed = enclosed
        self._gone = gone
        self._limits = limits
        self._mark = f"{MARK}={secrets.token_hex(16)}"
        # Unbuffered pipes: reads use the descriptor.
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home,
            env={**variables, MARK: self._mark.partition("=")[2]},
            start_new_session=True,
            close_fds=True,
            pass_fds=handed_on,
        )
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        if stdin is None or stdout is None or stderr is None:
            raise EngineLost("the system gave a process without pipes")
        self._pipes = (stdin, stdout, stderr)
        self._in, self._out, self._err = (pipe.fileno() for pipe in self._pipes)
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)

    def inputs(self) -> Sequence[int]:
        """Return the file descriptors that its words come from."""
        return [self._out, self._err]

    def receive(self, descriptor: int, transcript: Transcript) -> bool:
        """Take what has come; False when no more can come."""
        try:
            chunk = os.read(descriptor, RECEIVE_BYTES)
        except BlockingIOError:
            return True
        (transcript.add_protocol if descriptor == self._out else transcript.add_output)(chunk)
        return bool(chunk)

    def output(self) -> int:
        """Return the file descriptor that leads to its standard input."""
        return self._in

    def send(self, words: memoryview) -> int:
        """Send without blocking; return how many bytes were taken."""
        return os.write(self._in, words)

    def takes_too_much(self) -> bool:
        """Return whether the processes of the run together use more memory than allowed."""
        if self._enclosed and self._process.poll() is not None:
            # Killed from outside before it had tied its child's life to its own.
            kill_marked(self._mark, self._user)
        if takes_more_than(self._limits.memory_bytes, self._process.pid):
            return True
        # An empty file uses no bytes of the file system, but a kilobyte of kernel memory.
        return self._enclosed and self._files() > self._limits.tmpfs_files

    def _files(self) -> int:
        """Return how many files the run has in memory, as the first process in its namespaces sees them."""
        first = next(itertools.islice(descendants(self._process.pid), 1, None), None)
        return files_in(IN_MEMORY, first) if first is not None and has_left_our_root(first) else 0

    def exit(self) -> Exit | None:
        """Wait a moment until it has ended and say how; None when it goes on."""
        try:
            code = self._process.wait(EXIT_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        # Bubblewrap reports its child's end by its exit code; a signal to bubblewrap itself came from outside.
        return Exit(None, -code, from_outside=self._enclosed) if code < 0 else exit_of(code)

    def discard(self) -> None:
        """Kill the process with all its children and remove its folder. May be called again."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        kill_marked(self._mark, self._user)
        for pipe in self._pipes:
            pipe.close()
        shutil.rmtree(self._home, ignore_errors=True)
        self._gone()


class LocalRunner(SessionRunner):
    """Runs each probe in a process of its own, with the protections that this machine has."""

    name = "local"

    def __init__(
        self,
        environments: InstallableEnvironments,
        limits: Limits,
        data_dir: Path,
        interpreter: Callable[[str], Path | None],
        *,
        datasets: Callable[[], Path] | None = None,
        harness_source: str = "",
        waits: Waits | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        """Make a runner.

        Args:
            environments: resolves and installs releases.
            limits: bounds of each run.
            data_dir: where the virtual environments are kept.
            interpreter: finds a Python by its minor.
            datasets: returns the folder of data sets, fetched if need be; None: probes make up their data.
            harness_source: what warm processes are started with; without it nothing is warmed.
            waits: which processes may wait, ready to be asked.
            sandbox: the means to use; None finds out what works for each interpreter.
        """
        super().__init__(environments, limits, harness_source=harness_source, waits=waits)
        self._folders = EnvironmentFolders(data_dir / "environments", environments, interpreter)
        self._sandbox = sandbox
        self._users = RunUsers(LOCAL_USERS, users_at_work)
        self._fetch_datasets = datasets
        self._datasets: Path | None = None

    def missing_protections(self, place: Place | None = None) -> tuple[str, ...]:
        """Protections that this machine cannot give; without a place, to an interpreter such as this one."""
        return self._sandbox_for(_python_of(place) if place else Path(sys.executable)).missing()

    def run(self, request: RunRequest, cancelled: Event) -> RunReport:
        """Run the probe once and say what happened; see Runner."""
        report = super().run(request, cancelled)
        if report.result is not None and report.result.get("exception") == "MemoryError":
            # Here the limit makes an allocation fail; in a container the kernel kills the process.
            return replace(report, ending="out-of-memory", reason="asked for more memory than it may take")
        return report

    def _make_place(self, target: Target, environment: ResolvedEnvironment | None) -> Place:
        if target.hardware != "cpu":
            raise ReleaseUntestable(
                f"no CUDA device: {target.package} {target.release} for {target.hardware} runs in containers only; "
                "start Docker and use --runner docker."
            )
        environment = environment or self._environments.resolve(target)
        if not environment.python:
            raise ReleaseUntestable("official images run in containers only; start Docker and use --runner docker.")
        folder = self._folders.ensure(environment, f"{target.package} {target.release}")
        if self._fetch_datasets:
            self._datasets = self._fetch_datasets()
        return Place(str(folder), environment, variables=dict(target.variables))

    def _can_fork(self, place: Place) -> bool:
        return self._sandbox_for(_python_of(place)).bubblewrap

    def _start(self, place: Place, name: str, start: Start) -> ProcessSession:
        python = _python_of(place)
        sandbox = self._sandbox_for(python)
        user = self._users.take() if sandbox.own_user else None
        datasets = [self._datasets] if self._datasets else []
        gone = partial(self._users.give_back, user) if user is not None else _nothing
        home = None
        try:
            home = _make_home(user)
            variables = dict(place.variables) | _variables(
                self._limits, None if sandbox.bubblewrap else home, self._datasets, start.hash_seed
            )
            with sandbox.filter_to_read() as descriptor:
                command = sandbox.wrap(
                    [str(python), "-u", "-c", BOOT],
                    [*readable_for(python), *datasets],
                    self._limits,
                    seconds=start.lifetime_seconds,
                    user=user or os.getuid(),
                    first=start.forks,
                    filter_descriptor=descriptor,
                )
                return ProcessSession(
                    command,
                    variables,
                    self._limits,
                    home,
                    user=user,
                    enclosed=sandbox.bubblewrap,
                    handed_on=[] if descriptor is None else [descriptor],
                    gone=gone,
                )
        except BaseException as error:
            gone()
            if home is not None:
                shutil.rmtree(home, ignore_errors=True)
            if isinstance(error, OSError):
                raise EngineLost(f"cannot start a process for {name}: {error}") from error
            raise

    def _sandbox_for(self, python: Path) -> Sandbox:
        return self._sandbox or find_sandbox(python)


def _python_of(place: Place) -> Path:
    return Path(place.image) / "bin" / "python"


def _nothing() -> None:
    """Do nothing."""


def _make_home(user: int | None) -> Path:
    home = make_scratch_folder()
    try:
        if user is not None:
            os.chown(home, user, user)
    except OSError:
        home.rmdir()
        raise
    return home


def _variables(limits: Limits, home: Path | None, datasets: Path | None, hash_seed: int) -> dict[str, str]:
    """Return the process's environment; with a home of its own if /tmp is shared."""
    own = {"HOME": str(home), "TMPDIR": str(home)} if home else {}
    data = {"TFBISECT_DATASETS": str(datasets)} if datasets else {}
    return {**run_environment(limits, hash_seed), "PATH": PROGRAM_FOLDERS, **own, **data}

"""uv as this project uses it: resolve as of a date, install by hashes, one cache for all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.catalog.interpreters import loader_variables
from service.catalog.recipes import Recipe
from service.catalog.releases import Index
from service.errors import IndexUnreachable, NotInstallable, Unavailable

RESOLVE_TIMEOUT_SECONDS = 300
INSTALL_TIMEOUT_SECONDS = 1800  # CUDA wheels are 3 GB, and the network may be slow
GLANCE_SECONDS = 0.5  # between two progress checks
INDEX_NAME = "TFBISECT"
"""What uv calls the index; variables named after it say how to sign in there."""
NETWORK_FAILURES = (
    "failed to fetch",
    "error sending request",
    "dns error",
    "connection refused",
    "connection reset",
    "timed out",
    "network connectivity is disabled",
    "invalid peer certificate",
    "503 service unavailable",
    "502 bad gateway",
)


@dataclass(frozen=True)
class Uv:
    """Runs uv with one index and one cache, without the user's configuration."""

    index: Index
    cache_dir: Path

    def resolve(
        self,
        recipe: Recipe,
        interpreter: Path | None,
        folder: Path,
        requirements: Sequence[str],
        constraints: Sequence[str] = (),
        metadata: Mapping[str, Sequence[str]] | None = None,
    ) -> str:
        """Return the lock of requirements: exact versions with the hashes of all their files.

        Args:
            recipe: as of when, for which interpreter, with which constraints.
            interpreter: one of the recipe's Python version; None takes the running one, which suffices unless a
                dependency comes as source only.
            folder: an empty folder to work in.
            requirements: what to install.
            constraints: in addition to those of the recipe.
            metadata: what packages require whose own metadata cannot be read, by name.

        Raises:
            NotInstallable: nothing fits, or a source package does not build.
            IndexUnreachable: the index does not answer.
        """
        (folder / "constraints.txt").write_text("\n".join([*recipe.constraints, *constraints]) + "\n", encoding="utf-8")
        (folder / "requirements.in").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        command = ["pip", "compile", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        command += ["--constraints", "constraints.txt", "--exclude-newer", recipe.cutoff.isoformat()]
        for name, day in sorted(recipe.exempt.items()):
            command += ["--exclude-newer-package", f"{name}={day}"]
        command += [*_wheels_only(recipe), *self._platform(recipe)]
        command += ["--python", str(interpreter or sys.executable), "requirements.in"]
        if metadata:
            (folder / "uv.toml").write_text(_metadata_table(metadata), encoding="utf-8")
            command += ["--config-file", "uv.toml"]
        return self.run(command, folder, RESOLVE_TIMEOUT_SECONDS, interpreter)

    def install(
        self,
        recipe: Recipe,
        lock: Path,
        target: Sequence[str],
        interpreter: Path | None,
        written: Callable[[int], None] | None = None,
    ) -> None:
        """Install a lock by its hashes.

        Args:
            recipe: where the lock came from.
            lock: the lock's file.
            target: uv's options that say where to: ("--target", folder) or () for the interpreter's own environment.
            interpreter: as in `resolve`, or that of a virtual environment.
            written: told now and then how many bytes were written, where the system tells.

        Raises:
            NotInstallable: a file is gone, or does not build.
            IndexUnreachable: the index does not answer.
        """
        command = ["pip", "install", "--require-hashes", "--no-deps", "--quiet", "--link-mode", "hardlink"]
        command += _wheels_only(recipe)
        if interpreter is None:
            command += self._platform(recipe)
        command += ["--python", str(interpreter or sys.executable), *target, "--requirements", str(lock)]
        self.run(command, lock.parent, INSTALL_TIMEOUT_SECONDS, interpreter, written)

    def forget(self, package: str) -> None:
        """Remove a package's files from the cache: once its image is built, a framework's wheel is not needed."""
        self.run(["cache", "clean", package], self.cache_dir.parent, RESOLVE_TIMEOUT_SECONDS)

    def forget_all(self) -> None:
        """Empty the cache: everything can be downloaded again."""
        self.run(["cache", "clean"], self.cache_dir.parent, RESOLVE_TIMEOUT_SECONDS)

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        timeout_seconds: float,
        interpreter: Path | None = None,
        written: Callable[[int], None] | None = None,
    ) -> str:
        """Run uv, and what it starts an interpreter for, and return what it prints.

        `written` is told now and then how many bytes it has written.

        Raises:
            NotInstallable: it failed, for a reason that lies in the packages.
            IndexUnreachable: it failed for want of the index.
        """
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        command = [uv_command(), *arguments, "--no-python-downloads", "--color", "never"]
        if "--config-file" not in arguments:
            command.append("--no-config")
        if arguments[0] == "pip":
            command += ["--default-index", f"{INDEX_NAME}={self.index.url}"]
        try:
            variables = self._variables() | (loader_variables(interpreter) if interpreter else {})
            done = watched(command, folder, variables, timeout_seconds, written)
        except subprocess.TimeoutExpired as error:
            raise IndexUnreachable(
                f"uv took more than {timeout_seconds} s; the index {self.index.url} is too slow; try again later."
            ) from error
        if done.returncode != 0:
            raise failure_of(done.stderr, self.index.url)
        return done.stdout

    def _platform(self, recipe: Recipe) -> list[str]:
        """Return the options that make the answer the same on any machine."""
        return ["--python-version", recipe.python, "--python-platform", recipe.platform]

    def _variables(self) -> dict[str, str]:
        """Return the environment: the user's own, without what would change uv's answer, and without our settings.

        Source packages are built with it, by code of theirs: the database's password is no business of theirs.
        """
        left_out = ("UV_", "PIP_", "VIRTUAL_ENV", "TFBISECT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        for name in ("UV_HTTP_TIMEOUT", "UV_CONCURRENT_DOWNLOADS"):
            if name in os.environ:
                kept[name] = os.environ[name]
        kept["UV_CACHE_DIR"] = str(self.cache_dir)
        if self.index.credentials is not None:
            # Not on the command line, which every user of the machine can read.
            user, password = self.index.credentials
            kept |= {f"UV_INDEX_{INDEX_NAME}_USERNAME": user, f"UV_INDEX_{INDEX_NAME}_PASSWORD": password}
        if self.index.ca_bundle is not None:
            kept["SSL_CERT_FILE"] = str(self.index.ca_bundle)
        return kept


def _metadata_table(metadata: Mapping[str, Sequence[str]]) -> str:
    """Return uv's configuration with the requirements of packages."""
    return "".join(
        f"[[dependency-metadata]]\nname = {json.dumps(name)}\nrequires-dist = {json.dumps(list(requires))}\n"
        for name, requires in sorted(metadata.items())
    )


def _wheels_only(recipe: Recipe) -> list[str]:
    """Return the options that prevent running the code of source packages here."""
    return ["--only-binary", ":all:"] if recipe.only_wheels else []


def watched(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    timeout_seconds: float,
    written: Callable[[int], None] | None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and report regularly how much it has written.

    Raises:
        subprocess.TimeoutExpired: it took longer than it may; it was killed.
    """
    deadline = time.monotonic() + timeout_seconds
    with subprocess.Popen(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while True:
                try:
                    output, complaint = process.communicate(timeout=GLANCE_SECONDS)
                    return subprocess.CompletedProcess(command, process.returncode, output, complaint)
                except subprocess.TimeoutExpired:
                    if time.monotonic() > deadline:
                        raise
                if written is not None and (size := bytes_written(process.pid)) is not None:
                    written(size)
        except BaseException:
            process.kill()
            raise


def bytes_written(pid: int) -> int | None:
    """Return how many bytes a process has written; None if the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("wchar:")), None)


def uv_command() -> str:
    """Return the path of uv: beside the running interpreter, or on PATH.

    Raises:
        Unavailable: neither has it.
    """
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise Unavailable("uv is not installed; run `make setup`, or `pip install uv`.")
    return found


def failure_of(stderr: str, index_url: str) -> NotInstallable | IndexUnreachable:
    """Return the error for uv's message: the packages are at fault, or the connection to the index."""
    reason = short_reason(stderr)
    if any(sign in stderr.lower() for sign in NETWORK_FAILURES):
        return IndexUnreachable(f"the package index {index_url} does not answer: {reason}")
    return NotInstallable(reason)


def short_reason(stderr: str, limit: int = 400) -> str:
    """Return the useful part of uv's message: no warnings, no traceback frames, one line."""
    lines = [line.strip() for line in stderr.splitlines()]
    telling = [
        line
        for line in lines
        if line and not line.lower().startswith(("warning", "hint", "file ", "[std", "traceback", "exec(", "self."))
    ]
    joined = " ".join(line.removeprefix("error:").lstrip("\u00d7").removeprefix("╰─▶").strip() for line in telling)
    return joined if len(joined) <= limit else joined[: limit // 2] + " … " + joined[-limit // 2 :]

"""What becomes of bisections when containers, images or the whole engine go away under them.

A second engine of the tests' own, so that nobody else's containers are touched: data, sockets and processes in a folder
of its own, in a network namespace of its own, without a bridge.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from service.scratch import is_held
from tests.faults.findings import Findings, of_bisections
from tests.faults.kills import LEASE_PASSED_SECONDS, WORKERS, small_world
from tests.faults.table import Fault, LeftOut
from tests.faults.world import PACKAGE, Service, World, wait_until

RUN_SECONDS = 3.0
SYSTEM = "tfbisect/system"
PREFIX = "tfb-engine-"
"""Of its folder; short, since sockets below it may have 108 characters."""
ENDING_SECONDS = 10.0
PROGRAMS = ("dockerd", "containerd", "runc")
STARTING_SECONDS = 60.0
TRIES = 8 * WORKERS
"""How many runs may be begun in vain in 20 s and the start of an engine: each try counts, though it reaches nobody.

The pauses between tries double from half a second to 15 s, and each of the workers makes its own.
"""
BUILDING = {
    "before the build of an image": "service.images.builder:Images._build",
    "between an image that is laid and one that is finished": "service.images.docker_images:DockerImages._finished",
}


class Engine:
    """A container engine that may be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder / 'docker.sock'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.folder / "pid").unlink(missing_ok=True)
        command = ["unshare", "--net", "dockerd", f"--data-root={self.folder / 'data'}"]
        command += [f"--exec-root={self.folder / 'exec'}", f"--pidfile={self.folder / 'pid'}"]
        command += ["--host", self.address, "--bridge=none", "--iptables=false", "--ip-masq=false"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        wait_until(
            "the second engine answers", lambda: self.docker("version", check=False) is not None, STARTING_SECONDS
        )

    def stop(self) -> None:
        """Stop it as a service manager does; its containers end with it."""
        self._end("terminate")

    def kill(self) -> None:
        """Kill -9; its containers go on without it."""
        self._end("kill")

    def _end(self, how: str) -> None:
        if self._process is not None:
            getattr(self._process, how)()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def docker(self, *words: str, check: bool = True) -> str | None:
        """Return what a command of the client prints, None where it fails and may."""
        done = subprocess.run(
            ["docker", "--host", self.address, *words], capture_output=True, text=True, check=check, timeout=300
        )
        return done.stdout.strip() if done.returncode == 0 else None

    def containers(self) -> list[str]:
        """Return all containers, with their names, states, images and labels."""
        said = "{{.ID}} {{.Names}} {{.Status}} {{.Image}} {{.Labels}}"
        return (self.docker("ps", "--all", "--format", said, check=False) or "").splitlines()

    def images(self, *filters: str) -> list[str]:
        """Return images by id."""
        options = [word for each in filters for word in ("--filter", each)]
        return sorted(set((self.docker("images", "--quiet", *options) or "").split()))

    def take_system_of_the_first(self) -> None:
        """Take over the small Debian that the machine's own engine has, if it has one: making one takes a minute."""
        first = ["docker", "images", SYSTEM, "--format", "{{.Repository}}:{{.Tag}}"]
        names = subprocess.run(first, capture_output=True, text=True, check=False).stdout.split()
        for name in names[:1]:
            saved = self.folder / "system.tar"
            subprocess.run(["docker", "save", "--output", str(saved), name], check=True)
            self.docker("load", "--input", str(saved))
            saved.unlink()

    def forget_releases(self) -> None:
        """Remove the images of the made-up package."""
        if images := self.images(f"label=org.tfbisect.package={PACKAGE}"):
            self.docker("rmi", "--force", *images, check=False)


@contextmanager
def second_engine() -> Iterator[Engine]:
    """Run an engine of our own.

    Raises:
        LeftOut: this machine cannot have one.
    """
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise LeftOut("a second engine needs root and dockerd")
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not is_held(left):
            clear_away(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    engine = Engine(folder)
    try:
        try:
            engine.start()
        except AssertionError as error:
            raise LeftOut(f"a second engine does not start here: {(folder / 'log').read_text()[-300:]}") from error
        engine.take_system_of_the_first()
        yield engine
    finally:
        with suppress(subprocess.TimeoutExpired):  # an engine that hangs is ended all the same
            for container in engine.containers():
                engine.docker("rm", "--force", container.split()[0], check=False)
        engine.stop()
        clear_away(folder)
        os.close(lock)


def clear_away(folder: Path) -> None:
    """Remove an engine's folder with all that is mounted and runs in it, whatever became of the engine."""
    end = time.monotonic() + ENDING_SECONDS
    while (left := _processes_of(folder)) and time.monotonic() < end:
        for number in left:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.1)
    # The innermost first; lazily, since an engine's own namespaces may keep one of them busy for a while.
    for place in sorted(_mounts_below(folder), reverse=True):
        subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _processes_of(folder: Path) -> list[int]:
    """Return the processes that an engine left."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it may end under our eyes
                if _is_of(entry, str(folder)):
                    found.append(int(entry.name))
    return found


def _is_of(process: Path, folder: str) -> bool:
    """Say whether a process is one of an engine's own, which name its folder, or runs in one of its containers."""
    if (process / "comm").read_text(encoding="utf-8", errors="replace").startswith(PROGRAMS):
        return folder.encode() in (process / "cmdline").read_bytes()
    if (process / "ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink():
        return False
    return folder in (process / "mountinfo").read_text(encoding="utf-8", errors="replace").partition("\n")[0]


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [place for line in lines if (place := line.split()[4]).startswith(f"{folder}/")]


class ContainerWorld(World):
    """A world whose runs are containers of the second engine."""

    engine: Engine

    def containers(self) -> list[str]:
        """Return what is left on the engine."""
        return self.engine.containers()


@contextmanager
def container_world(engine: Engine) -> Iterator[ContainerWorld]:
    """Make a world over an engine."""
    with small_world(
        kind=ContainerWorld, TFBISECT_RUNNER="docker", TFBISECT_BASE_IMAGE="local", DOCKER_HOST=engine.address
    ) as made:
        assert isinstance(made, ContainerWorld)
        made.engine = engine
        yield made


def undisturbed(engine: Engine) -> Findings:
    """Do nothing: what the other rows are compared with, and the images that they need."""
    with container_world(engine) as made:
        service = made.serve()
        found = of_bisections(service, [service.submit("undisturbed")])
        service.end()
        found.orphaned += engine.containers()
        return found


def killed_while_building(engine: Engine, wound: dict[str, Any]) -> Findings:
    """Kill the service while it makes an image."""
    engine.forget_releases()
    with container_world(engine) as made:
        service = made.serve(**wound)
        bisection_id = service.submit("building")
        service.wait_until_it_died()
        made.shift_clock(LEASE_PASSED_SECONDS)
        after = made.serve()
        found = of_bisections(after, [bisection_id], runs_lost=WORKERS)
        after.end()
        found.orphaned += engine.containers()
        found.orphaned += [f"image {image} has no name" for image in engine.images("dangling=true")]
        found.orphaned += [f"folder {path.name}" for path in (made.data / "builds").glob("*")]
        return found


def killed_under_containers(engine: Engine) -> Findings:
    """Kill the service while containers run."""
    with container_world(engine) as made:
        service, bisection_id = _with_runs(made)
        service.kill()
        made.shift_clock(LEASE_PASSED_SECONDS)
        after = made.serve()
        return of_bisections(after, [bisection_id], runs_lost=WORKERS)


def _with_runs(made: ContainerWorld) -> tuple[Service, str]:
    service = made.serve()
    bisection_id = service.submit("under runs", RUN_SECONDS)
    wait_until("a run is under way", lambda: made.runs.exists() and _running(made.engine))
    return service, bisection_id


def _running(engine: Engine) -> list[str]:
    return (engine.docker("ps", "--quiet", check=False) or "").split()


def under_runs(engine: Engine, do: Callable[[Engine], object], runs_lost: int = 4 * WORKERS) -> Findings:
    """Do something to an engine while containers run, and let the same service go on."""
    with container_world(engine) as made:
        service, bisection_id = _with_runs(made)
        do(engine)
        later = wait_until("the service takes a submission again", partial(service.submit, "afterwards"), 120)
        return of_bisections(service, [bisection_id, later], runs_lost=runs_lost)


def kill_containers(engine: Engine) -> None:
    """Kill what runs, as an administrator does."""
    engine.docker("kill", *_running(engine), check=False)


def remove_containers(engine: Engine) -> None:
    """Remove what runs, as a clean-up job does."""
    engine.docker("rm", "--force", *_running(engine), check=False)


def remove_images(engine: Engine) -> None:
    """Remove the images of all releases, those that run included."""
    engine.forget_releases()
    for name in (engine.docker("images", f"tfbisect/{PACKAGE}", "--format", "{{.Repository}}:{{.Tag}}") or "").split():
        engine.docker("rmi", "--force", name, check=False)


def restart(engine: Engine, *, seconds: float, killed: bool = False) -> None:
    """Stop the engine and start it again after a while."""
    (engine.kill if killed else engine.stop)()
    time.sleep(seconds)
    engine.start()


def faults(stack: ExitStack) -> list[Fault]:
    """Return the rows of this file; they share an engine, which the stack ends."""

    @cache
    def shared() -> Engine:
        return stack.enter_context(second_engine())

    again = "lost runs are made again; no release is told to have killed them"

    def row(name: str, run: Callable[[Engine], Findings], expected: str = again) -> Fault:
        return Fault("engine", name, lambda: run(shared()), expected)

    steps = [
        row(
            f"service killed -9 {when}",
            partial(killed_while_building, wound={"die_in": place}),
            "the image is built by the next service, and nothing of the first try stays",
        )
        for when, place in BUILDING.items()
    ]
    return [
        row("nothing at all", undisturbed, "the true verdict"),
        *steps,
        row("service killed -9 under containers", killed_under_containers, "the next service removes them and goes on"),
        row("containers killed under runs", partial(under_runs, do=kill_containers)),
        row("containers removed under runs", partial(under_runs, do=remove_containers)),
        row("images removed under runs", partial(under_runs, do=remove_images)),
        row("engine stopped for 3 s under runs", partial(under_runs, do=partial(restart, seconds=3))),
        row(
            "engine stopped for 20 s under runs", partial(under_runs, do=partial(restart, seconds=20), runs_lost=TRIES)
        ),
        row("engine killed -9 for 3 s under runs", partial(under_runs, do=partial(restart, seconds=3, killed=True))),
    ]

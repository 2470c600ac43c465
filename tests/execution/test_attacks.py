"""Every attack in every place: it ends as its file says, in time, leaves nothing, and the next run is unharmed.

An ordinary test run takes a third of them over a bare Python; FULL=1 takes all; `make hostile` prints the table, and
with FULL=1 adds TensorFlow 1.12.0 and a 2.x release.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from service import json_text
from service.bisection.outcomes import Lost, Outcome, RunReport, classify
from service.bootstrap import House
from service.catalog.targets import Target
from service.errors import TfbisectError
from service.execution.docker_runner import DockerRunner
from service.execution.hardening import RUN_LABEL
from service.execution.limits import Limits
from service.execution.local_runner import LocalRunner
from service.execution.runner import RunRequest
from service.execution.sessions import SessionRunner
from service.settings import GIB, MIB, Settings
from tests.execution.attacks import (
    HOSTILE,
    Attack,
    Row,
    Usage,
    children_of,
    load_attacks,
    meets,
    read_attack,
    seen,
    table,
)
from tests.execution.conftest import HARNESS, LIMITS, PROBE, TARGET, Stage

ATTACKS = load_attacks()
FULL = os.environ.get("FULL") == "1"
CHOSEN = [attack for attack in ATTACKS if FULL or attack.ci]
RELEASES = os.environ.get("TFBISECT_HOSTILE_RELEASES", "").split()
"""TensorFlow releases that are attacked too."""
TABLE = os.environ.get("TFBISECT_HOSTILE_TABLE", "")
"""The file that the table is written to; "" for none."""
FRAMEWORK_LIMITS = replace(LIMITS, memory_bytes=2 * GIB, pids=256, tmpfs_bytes=64 * MIB)
CPU_SECONDS = 5.0
"""Of the service's own processor time, for one run."""
PEAK_BYTES = 96 * MIB
"""Of the service's own memory on top, for one run."""
IMPORT_SECONDS = 60.0
"""What a framework's import may take on a busy machine: it comes before the attack and out of the same limit."""
KEPT_CONNECTIONS = 12
"""Descriptors that an engine's client keeps open, by how many it talked to at once."""
REMOVAL_SECONDS = 30.0
SECRET = "hunter2"
ROWS: list[Row] = []


@dataclass(frozen=True)
class Place:
    """A runner over one environment."""

    name: str
    kind: str
    runner: SessionRunner
    limits: Limits
    target: Target
    framework: str = ""
    descriptors: int = 0
    """Open in the service once the engine's connections are made."""

    def lacks(self, protection: str) -> bool:
        return bool(protection) and any(protection in missing for missing in self.runner.missing_protections())

    def run(self, run_id: str, source: str, seconds: float, framework: str) -> RunReport:
        request = RunRequest(run_id, self.target, HARNESS, PROBE, framework, source, {}, seconds)
        return self.runner.run(request, threading.Event())


@dataclass
class Host:
    """What an attack must not reach: a secret, a folder, sockets, a key, the machine's name and settings."""

    folder: Path
    listeners: list[socket.socket] = field(default_factory=list)
    port: int = 0
    children: frozenset[int] = frozenset()
    """Processes that other tests of this session keep going."""

    def words(self) -> dict[str, str]:
        """Return what stands for the words in capitals of an attack's source."""
        addresses = {"127.0.0.1", "172.17.0.1", *socket.gethostbyname_ex(socket.gethostname())[2]}
        return {
            "PORT": str(self.port),
            "ADDRESSES": repr(sorted(addresses)),
            "SECRET": str(self.folder / "secret"),
            "SECRET_FILE": str(self.folder / "secret"),
            "CANARY": str(self.folder / "canary"),
            "SOCKET": str(self.folder / "socket"),
            "LINE": 'b"7\\n"',
            "DURATION": f"{900 + os.getpid() / 1e7:.7f}",
        }

    def harm(self) -> Iterator[str]:
        """Yield what is not as it was."""
        if (self.folder / "secret").read_text() != SECRET:
            yield "a file of the host was changed"
        if not (self.folder / "canary" / "kept").exists():
            yield "a file of the host was removed"
        if (socket.gethostname(), *map(read, SETTINGS)) != BEFORE:
            yield "a setting of the host was changed"
        yield from (f"{path} was written" for path in Path("/").glob("*/tfbisect-owned"))

    def left(self) -> Iterator[str]:
        """Yield what is there that was not."""
        if children := set(children_of(os.getpid())) - self.children:
            yield f"{len(children)} processes are left"
        if homes := list((self.folder / "homes").glob("tfbisect-run-*")):
            yield f"{len(homes)} folders are left"


SETTINGS = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/pid_max", "/proc/sys/vm/overcommit_memory")


def read(path: str) -> str:
    return Path(path).read_text()


BEFORE = (socket.gethostname(), *map(read, SETTINGS))


@pytest.fixture(scope="module")
def host(data_dir: Path) -> Iterator[Host]:
    folder = Path(tempfile.mkdtemp(prefix="tfbisect-host-"))
    folder.chmod(0o755)
    (folder / "secret").write_text(SECRET)
    (folder / "canary").mkdir()
    (folder / "canary" / "kept").write_text("kept")
    (folder / "homes").mkdir()
    (folder / "homes").chmod(0o755)
    found = Host(folder, children=frozenset(children_of(os.getpid())))
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    found.port = both.getsockname()[1]
    names = [f"\0tfbisect-canary-{os.getpid()}", "\0tfbisect-canary", str(folder / "socket")]
    found.listeners = [both, *filter(None, map(listening, names))]
    libc = ctypes.CDLL(None, use_errno=True)
    # Orphans of local runs become ours, so that none is missed.
    libc.prctl(36, 1, 0, 0, 0)
    libc.syscall(248, b"user", b"tfbisect-canary", SECRET.encode(), len(SECRET), -3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFBISECT_TEST_SECRET", SECRET)
        patch.setattr(tempfile, "tempdir", str(folder / "homes"))
        yield found
    libc.prctl(36, 0, 0, 0, 0)
    libc.syscall(250, 3, -3)  # clears the ring that the key was put in
    for listener in found.listeners:
        listener.close()


def listening(name: str) -> socket.socket | None:
    """Return a socket that listens under a name, unless somebody else does."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(name)
        listener.listen()
    except OSError:
        listener.close()
        return None
    if name[0] != "\0":
        Path(name).chmod(0o777)
    return listener


@pytest.fixture(scope="module", autouse=True)
def written_table() -> Iterator[None]:
    yield
    if TABLE and ROWS:
        Path(TABLE).write_text(HEADING + table(ROWS))


HEADING = """\
# Attacks, run for real

Written by `make hostile` (see [security.md](security.md)): one row for each file of `tests/execution/hostile/` in each
place. Beside what is expected of the outcome, each row asks that the run is over in time, that what comes out of it can
be stored, that the service spends few seconds and little memory on it, that no process, container or folder is left,
that the host's files, settings and name are as they were, and that an honest run afterwards is answered.

"""


def places() -> Iterator[Any]:
    """Yield the places that are asked for."""
    for kind, mark in (("docker", pytest.mark.containers), ("bubblewrap", pytest.mark.local)):
        yield pytest.param((kind, ""), marks=mark, id=kind)
        for release in RELEASES:
            yield pytest.param((kind, release), marks=[mark, pytest.mark.index], id=f"{kind}-{release}")


@pytest.fixture(scope="module", params=list(places()))
def place(request: pytest.FixtureRequest, host: Host, data_dir: Path) -> Iterator[Place]:
    kind, release = request.param
    if not release:
        stage: Stage = request.getfixturevalue(f"{kind}_stage")
        yield warmed_up(Place(f"{kind}, bare Python", kind, stage.runner, LIMITS, TARGET))
        return
    house = House(Settings(runner="docker" if kind == "docker" else "local"))
    target = Target("tensorflow", release)
    runner: SessionRunner
    try:
        if kind == "docker":
            engine = request.getfixturevalue("engine")
            runner = DockerRunner(engine, house.environments, house.images, FRAMEWORK_LIMITS, harness_source=HARNESS)
        else:
            runner = LocalRunner(
                house.environments,
                FRAMEWORK_LIMITS,
                data_dir,
                lambda python: house._interpreter(python) or Path("python3"),
                harness_source=HARNESS,
            )
        runner.prepare(target)
    except TfbisectError as error:
        pytest.fail(f"it was asked for by name: {error.message}")
    yield warmed_up(Place(f"{kind}, TensorFlow {release}", kind, runner, FRAMEWORK_LIMITS, target, "tensorflow"))
    runner.close()
    house.close()


def warmed_up(place: Place) -> Place:
    """Return a place whose engine has the connections that it keeps."""
    for _ in range(3):
        place.run(uuid.uuid4().hex[:12], "x = 1", 60, "")
    return replace(place, descriptors=Usage.now().descriptors)


def with_words(source: str, words: dict[str, str]) -> str:
    return re.sub(r"\b(" + "|".join(words) + r")\b", lambda match: words[match.group()], source)


def reap() -> None:
    """Note the end of orphans that became ours."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def remains(place: Place, host: Host, run_id: str) -> list[str]:
    """Return what a run has left, once whoever removes has had the time to."""
    until = time.monotonic() + REMOVAL_SECONDS
    while True:
        reap()
        found = list(host.left())
        if isinstance(place.runner, DockerRunner):
            labelled = {"label": f"{RUN_LABEL}={run_id}"}
            found += ["its container is left"] if place.runner._api.containers(all=True, filters=labelled) else []
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.1)  # the engine removes a container beside the next run


def record_faults(report: RunReport) -> Iterator[str]:
    """Yield why what came out of a run cannot be kept and read again."""
    told = {"result": report.result, "output": report.output, "reason": report.reason}
    text = json_text.dumps(told)
    if json_text.loads(text) != json.loads(json.dumps(told)):
        yield "it is not read as it was stored"
    shown = json.dumps(told, ensure_ascii=False)
    try:
        shown.encode("utf-8")
    except UnicodeEncodeError:
        yield "broken text came through"
    if any(part in shown for part in ("\\u0000", "\\u001b", "\x9b")):
        yield "control characters came through"
    if isinstance(classify(report, lambda _: Outcome("measured")), Lost):
        yield "it reads as lost"


@pytest.mark.parametrize("attack", CHOSEN, ids=lambda attack: attack.name)
def test_an_attack_ends_as_its_file_says_and_harms_nothing(attack: Attack, place: Place, host: Host) -> None:
    expected = attack.expected(place.kind)
    if place.lacks(attack.needs):
        ROWS.append(Row(attack.name, place.name, " or ".join(expected), f"not run: {attack.needs}", 0.0, 0.0, ()))
        pytest.skip(f"this runner says that it cannot help it here: {attack.needs}")
    run_id = uuid.uuid4().hex[:12]
    before, cpu, began = Usage.now(), time.process_time(), time.monotonic()
    more = IMPORT_SECONDS if place.framework else 0.0
    report = place.run(run_id, with_words(attack.source, host.words()), attack.seconds + more, place.framework)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    faults = [*remains(place, host, run_id), *host.harm(), *record_faults(report)]
    after = Usage.now()
    if not any(meets(report, each, place.limits) for each in expected):
        faults.append("another outcome")
    if seconds > attack.within + more:
        faults.append(f"took more than {attack.within + more:g} s")
    if cpu > CPU_SECONDS:
        faults.append(f"took more than {CPU_SECONDS:g} s of the service's processor")
    if after.peak_bytes - before.peak_bytes > PEAK_BYTES:
        faults.append(f"took {(after.peak_bytes - before.peak_bytes) // MIB} MiB of the service's memory")
    # Against the place's beginning, not the run's: what one run leaves adds up.
    if after.descriptors > place.descriptors + KEPT_CONNECTIONS:
        faults.append(f"{after.descriptors - place.descriptors} descriptors of the service are left open")
    honest = place.run(uuid.uuid4().hex[:12], "x = 1", 60, "")
    if not meets(honest, "measured x == 1", place.limits):
        faults.append(f"the next run was harmed: {seen(honest)}")
    ROWS.append(Row(attack.name, place.name, " or ".join(expected), seen(report), seconds, cpu, tuple(faults)))
    assert not faults, (faults, seen(report, 500), report.reason, report.output[-2000:])


def test_what_is_attacked_is_a_forked_child(place: Place) -> None:
    report = place.run(uuid.uuid4().hex[:12], "x = 1", 60 + IMPORT_SECONDS, place.framework)
    assert meets(report, "measured x == 1", place.limits), report
    assert report.forked, "the attacks above met a process of their own, which is not what a bisection asks"


def test_there_are_sixty_attacks_and_a_third_of_them_is_always_run() -> None:
    assert len(ATTACKS) >= 60
    assert sum(attack.ci for attack in ATTACKS) >= len(ATTACKS) / 3


@pytest.mark.parametrize("path", sorted(HOSTILE.glob("*.py")), ids=lambda path: path.stem)
def test_the_expectations_of_an_attack_can_be_read(path: Path) -> None:
    attack = read_attack(path.stem, path.read_text("utf-8"))
    assert attack.tries
    for expectation in (*attack.expects, *(each for several in attack.expects_in.values() for each in several)):
        answered = {"kind": expectation.split()[0], "measurements": {"x": {"processes": 1}}}
        with suppress(
            TypeError, KeyError, AttributeError
        ):  # an expression over a number or a list, held against something else
            meets(RunReport("answered", result=answered), expectation, LIMITS)


def test_a_file_that_says_nothing_of_itself_is_named() -> None:
    with pytest.raises(ValueError, match=r"silent\.py"):
        read_attack("silent", "x = 1\n")
    with pytest.raises(ValueError, match=r"odd\.py"):
        read_attack("odd", '#: tries = "x"\n#: expects = ["measured"]\n#: colour = 3\n')


MEASURED = RunReport("answered", result={"kind": "measured", "measurements": {"x": 3}})
RAISED = RunReport("answered", result={"kind": "raised", "exception": "ValueError", "message": "no"})
UNTESTABLE = RunReport("answered", result={"kind": "untestable", "message": "the probe is blind"})


@pytest.mark.parametrize(
    ("report", "expectation", "met"),
    [
        (MEASURED, "measured", True),
        (MEASURED, "measured x == 3", True),
        (MEASURED, "measured x <= pids", True),
        (MEASURED, "measured x == 4", False),
        (MEASURED, "raised", False),
        (MEASURED, "timed-out", False),
        (RAISED, "raised", True),
        (RAISED, "raised ValueError", True),
        (RAISED, "raised KeyError", False),
        (UNTESTABLE, "untestable the probe", True),
        (UNTESTABLE, "untestable something", False),
        (RunReport("timed-out"), "timed-out", True),
        (RunReport("timed-out"), "output-flood", False),
        (RunReport("exited", exit_code=3), "exited 3", True),
        (RunReport("exited", exit_code=3), "exited", True),
        (RunReport("exited", exit_code=3), "exited 4", False),
        (RunReport("signalled", signal=9), "signalled 9", True),
        (RunReport("signalled", signal=9), "signalled 11", False),
        (RunReport("lost"), "lost", True),
    ],
)
def test_an_expectation_is_met_or_not(report: RunReport, expectation: str, met: bool) -> None:
    assert meets(report, expectation, LIMITS) is met


def test_a_row_that_is_not_as_expected_is_named_above_the_table() -> None:
    good = Row("loops", "docker", "timed-out", "timed-out", 1.0, 0.1, ())
    bad = Row("forges", "docker", "untestable", "measured | `x`", 1.0, 0.1, ("another outcome",))
    said = table([good, bad]).splitlines()
    assert said[0] == "2 rows, 1 as expected: not forges in docker."
    assert said[-1] == "| forges | docker | untestable | measured \\| \\`x\\` | 1.0 | 0.10 | another outcome |"

"""One process, many answers: children of one import start clean, and none of them reaches the next one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.bisection.outcomes import RunReport
from service.execution.conversation import Stop
from service.execution.forking import Answered, is_doubtful
from service.execution.runner import RunRequest
from service.execution.waiting import UNKNOWN_BYTES
from tests.execution.attacks import Attack, load_attacks
from tests.execution.conftest import HARNESS, HOSTILE, PROBE, TARGET, Stage

# What a snippet can see of where it runs; alike in every clean process.
LOOKS = """
import fcntl, json, os, random, resource, signal, sys
state = open("/proc/self/status").read().splitlines()
x = {
    "files": sorted(os.listdir("/tmp") + os.listdir("/dev/shm")),
    "processes": sorted(each for each in os.listdir("/proc") if each.isdigit())[:-1].__len__(),
    "limits": [resource.getrlimit(number) for number in range(16)],
    "flags": fcntl.fcntl(2, fcntl.F_GETFL),
    "affinity": sorted(os.sched_getaffinity(0)),
    "memory": open("/proc/sysvipc/shm").read(),
    "signals": [line for line in state if line.startswith(("SigBlk", "SigIgn", "SigCgt"))],
    "priority": os.nice(0),
    "environment": {name: value for name, value in os.environ.items() if name != "TFBISECT_RUN"},
    "modules": sorted(sys.modules),
    "chance": random.random(),
    "folder": os.getcwd(),
    "json": json.dumps({"a": 1}),
    "input": sys.stdin.read(),
}
"""
WORDS = {"DURATION": "61", "ADDRESSES": "['127.0.0.1']", "PORT": "9", "SECRET_FILE": "/etc/shadow", "LINE": r"b'\n'"}
CHOSEN = [attack for attack in load_attacks() if attack.ci or os.environ.get("FULL") == "1"]
Ask = Callable[..., RunReport]


@pytest.fixture(params=["docker", "bubblewrap"])
def forking(request: pytest.FixtureRequest) -> Stage:
    """Return the runners whose processes answer in children."""
    found: Stage = request.getfixturevalue(f"{request.param}_stage")
    return found


@pytest.fixture
def ask(forking: Stage) -> Ask:
    """Return what asks the questions of one submission."""
    submission = uuid.uuid4().hex

    def asked(snippet: str, process: int = 0, seconds: float = 30, **words: str) -> RunReport:
        file = HOSTILE / f"{snippet}.py"
        source = file.read_text() if file.exists() else snippet
        for word, value in {**WORDS, **words}.items():
            source = source.replace(word, value)
        request = RunRequest(uuid.uuid4().hex[:8], TARGET, HARNESS, PROBE, "", source, {}, seconds, submission, process)
        return forking.ask(request)

    return asked


def seen(report: RunReport) -> object:
    assert report.result is not None, report
    assert report.result["kind"] == "measured", report.result
    return report.result["measurements"]["x"]


pytestmark = [pytest.mark.containers]


def test_answers_of_one_submission_share_a_process_and_say_so(ask: Ask) -> None:
    first, second = ask("x = 1"), ask("x = 2")
    assert (seen(first), seen(second)) == (1, 2)
    assert first.process == second.process != ""
    assert first.forked
    assert second.forked
    assert first.seconds["start"] > 0 == second.seconds["start"]


def test_another_process_has_another_hash_seed(ask: Ask) -> None:
    here, there = ask("x = hash('a')"), ask("x = hash('a')", process=1)
    assert here.process != there.process
    assert (here.hash_seed, there.hash_seed) == (0, 1)
    assert seen(here) != seen(there)
    assert seen(ask("x = hash('a')")) == seen(here)


def test_a_process_whose_import_opened_an_accelerator_answers_by_itself(forking: Stage) -> None:
    importing = "        module = imported(name) if name else None\n"
    assert importing in HARNESS
    # A device that every machine has, in the place of an accelerator.
    here = HARNESS.replace('("/dev/nvidia0", ', '("/dev/full", ').replace('("/dev/nvidia", ', '("/dev/full", ')
    assert here.count("/dev/full") == 2
    opened = here.replace(importing, importing + "        import os\n        os.open('/dev/full', os.O_WRONLY)\n")
    answers = [
        forking.ask(RunRequest("q", TARGET, harness, PROBE, "", "x = 1", {}, 30, word))
        for harness, word in ((here, "near"), (opened, "opened"), (opened, "opened"))
    ]
    assert [seen(answer) for answer in answers] == [1, 1, 1]
    assert [answer.forked for answer in answers] == [True, False, False]
    assert answers[1].process != answers[2].process
    for word in ("near", "opened"):
        forking.runner.end(word)


def test_two_submissions_never_share_a_process(forking: Stage) -> None:
    requests = [
        RunRequest("q", TARGET, HARNESS, PROBE, "", "x = 1", {}, 30, word) for word in ("one", "two", "one", "")
    ]
    processes = [forking.ask(request).process for request in requests]
    assert processes[0] == processes[2]
    assert len(set(processes)) == 3
    forking.runner.end("one")
    forking.runner.end("two")


def test_a_submission_that_ended_leaves_nothing_that_waits(forking: Stage) -> None:
    forking.ask(RunRequest("q", TARGET, HARNESS, PROBE, "", "x = 1", {}, 30, "ends"))
    waiting = forking.runner.waiting()
    forking.runner.end("ends")
    assert forking.runner.waiting() == waiting - 1


def test_printing_belongs_to_the_answer_that_printed_it(ask: Ask) -> None:
    printed = [ask(f"print('{word}' * 3)\nx = 1").output for word in ("a", "b", "c")]
    assert printed == ["aaa\n", "bbb\n", "ccc\n"]


@pytest.mark.parametrize("attack", CHOSEN, ids=lambda attack: attack.name)
def test_whatever_a_child_does_the_next_ones_answer_is_the_same_as_without_it(ask: Ask, attack: Attack) -> None:
    before = seen(ask(LOOKS))
    hostile = ask(attack.name, seconds=3 if "timed-out" in attack.expects else attack.seconds)
    assert hostile.ending != "lost", hostile
    assert seen(ask(LOOKS)) == before


WHAT = ["limits", "flags", "pipe", "affinity", "shared memory", "files", "daemon"]


@pytest.mark.parametrize("what", WHAT)
def test_what_a_child_does_to_its_parent_is_fruitless_or_ends_the_process(ask: Ask, what: str) -> None:
    first = ask(LOOKS)
    # A signal may be sent to the first process of a table, and the kernel drops it.
    assert set(map(str, [seen(ask("tampers_with_parent", WHAT=repr(what)))])) <= {
        "['kill', 'stop', 'interrupt']",
    }
    last = ask(LOOKS)
    assert seen(last) == seen(first)
    # A narrow profile of system calls refuses shared memory, and then nothing was changed.
    assert what == "shared memory" or (last.process == first.process) is (what in {"files", "daemon"})


@pytest.mark.parametrize(
    ("snippet", "ending"),
    [("import os; os.kill(os.getpid(), 9)", "signalled"), ("import os; os._exit(3)", "exited"), ("1/0", "answered")],
)
def test_a_child_that_ends_is_one_answer_and_its_process_goes_on(ask: Ask, snippet: str, ending: str) -> None:
    first = ask("x = 1")
    assert ask(snippet).ending == ending
    assert ask("x = 1").process == first.process


def test_a_crash_is_told_by_a_process_of_its_own_and_only_the_first_time(ask: Ask) -> None:
    ask("x = 1")
    crashes = [ask("import os; os.kill(os.getpid(), 9)") for _ in range(2)]
    assert [report.signal for report in crashes] == [9, 9]
    assert [report.forked for report in crashes] == [False, True]


def test_a_child_that_hangs_is_one_answer_and_its_process_goes_on(ask: Ask) -> None:
    first = ask("x = 1")
    hung = ask("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass", seconds=1)
    assert (hung.ending, hung.forked) == ("timed-out", True)
    assert ask("x = 1").process == first.process


def test_a_flood_is_one_answer_and_its_process_goes_on(ask: Ask) -> None:
    first = ask("x = 1")
    assert ask("prints_a_gigabyte").ending == "output-flood"
    last = ask("print('quiet')\nx = 1")
    assert (last.process, last.output) == (first.process, "quiet\n")


ANSWERED = Answered(RunReport("answered"), "answered", asked=True, over=True)


@pytest.mark.parametrize(
    ("ending", "stop", "asked", "over", "proven", "doubtful"),
    [
        ("answered", "answered", True, True, False, False),
        ("exited", "ended", True, True, False, False),
        ("signalled", "ended", True, True, True, True),
        ("timed-out", "timed-out", True, True, False, True),
        ("timed-out", "timed-out", True, True, True, False),
        ("timed-out", "timed-out", True, False, True, True),
        ("timed-out", "timed-out", False, False, False, False),
        ("exited", "ended", True, False, True, True),
        ("lost", "cancelled", True, False, False, False),
        ("lost", "ended", True, False, False, False),
        ("out-of-memory", "ended", True, True, False, False),
    ],
)
def test_the_fork_could_be_to_blame_for(
    ending: str, stop: Stop, asked: bool, over: bool, proven: bool, doubtful: bool
) -> None:
    answer = replace(ANSWERED, report=RunReport(ending), stop=stop, asked=asked, over=over)  # type: ignore[arg-type]
    assert is_doubtful(answer, proven=proven) is doubtful


def test_the_hostile_files_are_all_there() -> None:
    assert len(list(Path(HOSTILE).glob("*.py"))) > 25


def test_a_standing_process_is_used_once_and_missing_then(forking: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking.runner._shelf, "_standing_bytes", 2 * UNKNOWN_BYTES)
    runner = forking.runner
    before = runner.waiting()
    assert runner.stand(TARGET, "")
    assert not runner.stand(TARGET, ""), "one of each release is enough"
    assert runner.waiting() == before + 1
    first = forking.ask(RunRequest("q", TARGET, HARNESS, PROBE, "", "x = 1", {}, 30, "standing"))
    second = forking.ask(RunRequest("q", TARGET, HARNESS, PROBE, "", "x = 1", {}, 30, "other"))
    assert first.process != second.process
    assert runner.stand(TARGET, ""), "what was used up is replaced"
    for submission in ("standing", "other"):
        runner.end(submission)


def test_nothing_stands_beyond_the_memory_that_is_set_aside(forking: Stage) -> None:
    assert not forking.runner.stand(TARGET, "")

"""Functions get the text of another release while the program runs: in real interpreters, with packages made here."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from service.bisection.bridges import Side
from service.bisection.culprit import Culprits, HypothesisAnswer, next_hypothesis
from service.bisection.outcomes import RunReport
from service.catalog.sources import SideSources, WheelSources, keep_sources
from service.causes.candidates import Candidates, executed_in, inherited_in, modules_in
from service.causes.trials import traceback_of, unwrapped, worker_source
from tests.probes.interpreters import interpreters
from tests.probes.protocol import ask

PYTHONS = [python for version, python in interpreters().items() if version not in ("2.7", "3.5")]
NEWEST = PYTHONS[-1]
PROBE = """
def run(context):
    return {"said": context.observe(context.execute()["f"])}
"""
SNIPPET = "from pack.user import use\ndef f():\n    return use()\n"


def packed(folder: Path, name: str, files: Mapping[str, str]) -> WheelSources:
    """Make a wheel, unpack it as an installer does, and return its sources."""
    wheel = folder / f"{name}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, dedent(text))
        archive.writestr("pack-1.dist-info/METADATA", "Name: pack\nLicense: MIT\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / name / "site-packages")
    keep_sources(wheel, folder / f"{name}.zip")
    return WheelSources("pack", name, folder / f"{name}.zip")


@dataclass(frozen=True)
class Releases:
    """Two releases of a package, and a snippet that is run in them."""

    folder: Path
    old: Mapping[str, str]
    new: Mapping[str, str]
    python: str = NEWEST
    snippet: str = SNIPPET

    @cached_property
    def sides(self) -> dict[Side, SideSources]:
        made: dict[Side, Mapping[str, str]] = {"before": self.old, "after": self.new}
        return {side: SideSources((packed(self.folder, side, files),)) for side, files in made.items()}

    def run(self, side: Side, asked: Mapping[str, Any]) -> tuple[RunReport, Mapping[str, Any]]:
        place = self.folder / side / "site-packages"
        assert self.sides
        parameters = {"why": {"roots": ["pack"], **asked}}
        answered = ask(
            self.python,
            worker_source(PROBE),
            self.snippet,
            parameters=parameters,
            environment={"PYTHONPATH": str(place)},
        )
        return unwrapped(RunReport("answered", result=answered.result))

    @cached_property
    def candidates(self) -> Candidates:
        before, after = (self.run(side, {"traces": True})[1] for side in ("before", "after"))
        traces = executed_in(before), executed_in(after)
        return Candidates(self.sides["before"], self.sides["after"], *traces, modules_in(before), modules_in(after))

    def said(self, side: Side, *names: str) -> object:
        """Return what the snippet says where definitions have the text of the other side, or what it raises."""
        report, told = self.run(side, self.candidates.asked({self.id_of(name) for name in names}, side))
        assert not [each for each in told["failed"] if each[0] in map(self.id_of, names)], told
        measured = (report.result or {}).get("measurements")
        return measured["said"] if measured else traceback_of(report)

    def id_of(self, name: str) -> str:
        return next(each.id for each in self.candidates.all if each.name == name)


def test_a_wrapped_function_a_default_and_a_method_with_super_get_their_old_text(tmp_path: Path) -> None:
    old = {
        "pack/__init__.py": "",
        "pack/user.py": """
            import functools
            def wrapped(function):
                @functools.wraps(function)
                def inner(*given):
                    return "<" + function(*given) + ">"
                return inner
            class Base(object):
                def name(self):
                    return "base"
            class Own(Base):
                def name(self):
                    return super().name() + " old"
                def __secret(self, word="old default"):
                    return word
                def told(self):
                    return self.__secret()
            @wrapped
            def use():
                return Own().name() + ", " + Own().told() + ", old"
        """,
    }
    new = {**old, "pack/user.py": old["pack/user.py"].replace(" old", " new").replace('"old', '"new')}
    new["pack/user.py"] = "\n\nimport os\n" + dedent(new["pack/user.py"]).replace("super().name()", "Base.name(self)")
    both = Releases(tmp_path, old, new)
    assert both.said("after") == "<base new, new default, new>"
    assert both.said("after", "use") == "<base new, new default, old>"
    assert both.said("after", "Own.__secret") == "<base new, old default, new>"
    assert both.said("after", "Own.name", "use", "Own.__secret") == "<base old, old default, old>"
    assert both.said("before", "Own.name", "Own.__secret") == "<base new, new default, old>"


def test_helpers_that_only_the_old_release_has_come_along_and_change_nothing_by_themselves(tmp_path: Path) -> None:
    old = {
        "pack/__init__.py": "",
        "pack/engine/__init__.py": "",
        "pack/engine/part.py": "LIMIT = 3\ndef helper():\n    return LIMIT\n",
        "pack/user.py": """
            from pack.engine import part
            from pack.engine.part import helper as aided
            FACTOR = 10
            class Thing:
                def size(self):
                    return self._inner() * FACTOR
                def _inner(self):
                    from pack.engine.part import helper
                    return helper() + part.LIMIT
            def use():
                return Thing().size() + aided()
        """,
    }
    new = {
        "pack/__init__.py": "",
        "pack/src/__init__.py": "",
        "pack/src/engine/__init__.py": "",
        "pack/src/engine/part.py": old["pack/engine/part.py"],
        "pack/user.py": "class Thing:\n    def size(self):\n        return 1\ndef use():\n    return Thing().size()\n",
    }
    both = Releases(tmp_path, old, new, snippet="import pack.src.engine.part\n" + SNIPPET)
    # Of the older one, where that module has another name.
    before = Releases(tmp_path / "b", old, new)
    before.folder.mkdir()
    older, newer = before.run("before", {"traces": True})[1], both.run("after", {"traces": True})[1]
    traces, modules = (executed_in(older), executed_in(newer)), (modules_in(older), modules_in(newer))
    candidates = Candidates(both.sides["before"], both.sides["after"], *traces, *modules)
    ids = {each.name: each.id for each in candidates.all}
    control, told = both.run("after", candidates.asked(()))
    assert (control.result or {})["measurements"] == {"said": 1}
    assert told["done"] == {ids["Thing._inner"]: 1}
    swapped, told = both.run("after", candidates.asked([ids["Thing.size"]]))
    assert told["failed"] == []
    assert (swapped.result or {})["measurements"] == {"said": 60}
    assert (both.run("after", candidates.asked([ids["Thing.size"], ids["use"]]))[0].result or {})["measurements"] == {
        "said": 63
    }


def test_a_method_that_hides_an_inherited_one_is_a_candidate_of_its_own_and_no_helper(tmp_path: Path) -> None:
    source = (
        "class Base:\n    def f(self):\n        return 'base'\nclass Own(Base):\n{}\ndef use():\n    return Own().f()\n"
    )
    old = {"pack/__init__.py": "", "pack/user.py": source.format("    def f(self):\n        return 'own'")}
    new = {"pack/__init__.py": "", "pack/user.py": source.format("    pass")}
    both = Releases(tmp_path, old, new)
    _, told = both.run("after", both.candidates.asked(()))
    inherited = inherited_in([told])
    assert inherited == {both.id_of("Own.f")}
    assert both.candidates.groups(inherited) == ((), (both.id_of("Own.f"),))
    assert both.candidates.groups(()) == ((), ())
    assert both.said("after", "Own.f") == "own"
    assert both.said("before", "Own.f") == "base"


def test_a_traceback_says_which_definition_of_a_hypothesis_raised_or_was_called_wrongly(tmp_path: Path) -> None:
    old = {
        "pack/__init__.py": "",
        "pack/user.py": "def inner(a):\n    return a.gone\ndef callee(a):\n    return a\n"
        "def use():\n    return 'old'\n",
    }
    new = {
        "pack/__init__.py": "",
        "pack/user.py": "\n\ndef inner(a):\n    return str(a)\ndef callee(a, more=1):\n    return a\n"
        "def use():\n    return inner(1) + str(callee(2, more=3))\n",
    }
    both = Releases(tmp_path, old, new)
    for name, words in (("inner", "AttributeError"), ("callee", "unexpected keyword")):
        raised = str(both.said("after", name))
        assert words in raised
        assert both.candidates.blamed(raised, {each.id for each in both.candidates.all}) == both.id_of(name)
    assert both.said("after", "inner", "callee", "use") == "old"


@pytest.mark.parametrize("python", dict.fromkeys((PYTHONS[0], NEWEST)))
def test_a_pair_is_found_from_wheels_through_real_processes(tmp_path: Path, python: str) -> None:
    parts = "\n".join(f"def part{n}(known):\n    return known + [{n}]\n" for n in range(12))
    calls = "\ndef use():\n    known = []\n" + "".join(f"    known = part{n}(known)\n" for n in range(12))
    lost = "    return 'drops' if -3 in known and -8 in known else 'never-drops'\n"
    new = {"pack/__init__.py": "", "pack/user.py": parts + calls + lost}
    old = {**new, "pack/user.py": "".join(f"# {n}\n" for n in range(9)) + new["pack/user.py"]}
    for number in range(12):
        text = f"[-{number}]" if number in (3, 8) else f"[{number}] + []"
        old["pack/user.py"] = old["pack/user.py"].replace(f"known + [{number}]\n", f"known + {text}\n")
    both = Releases(tmp_path, old, new, python)
    seen: dict[frozenset[str], HypothesisAnswer] = {}
    groups = both.candidates.groups(())
    assert sum(map(len, groups)) == 12
    while isinstance(step := next_hypothesis(groups, seen), frozenset):
        said = both.said("after", *(both.candidates.by_id[each].name for each in step))
        seen[step] = HypothesisAnswer("restored" if said == "drops" else "none")
    assert isinstance(step, Culprits)
    assert [both.candidates.by_id[each].name for each in step.definitions] == ["part3", "part8"]
    assert both.said("before", "part3") == "never-drops"

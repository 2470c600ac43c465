from __future__ import annotations

from service.bisection.reduction import Exhausted
from service.causes.minimising import minimised
from service.causes.script_parts import undefined, without_comments

SCRIPT = '''
# A comment.
import os
import numpy as np
import framework as fw

SEED = 3  # of everything


def data(count):
    """Return made-up data."""
    values = np.ones((count, 2))
    print("made", count)
    return values


x = data(10)
with fw.scope("here"):
    model = fw.Model([fw.Dense(3), fw.Dropout(0.5), fw.Dense(1)], name="m", seed=SEED)
    if x is not None:
        model.fit(x, epochs=2, verbose=0)
print("done")
'''


def test_only_what_shows_it_is_left() -> None:
    found = minimised(SCRIPT, lambda source: "fw.Dropout(0.5)" in source and "model.fit(" in source, 500)
    assert found.source == "import framework as fw\nmodel = fw.Model([fw.Dropout(0.5)])\nmodel.fit()\n"
    assert not found.exhausted


def test_every_script_that_runs_is_one_that_could() -> None:
    ran: list[str] = []

    def shows(source: str) -> bool:
        compile(source, "script", "exec")
        assert not undefined(source)
        ran.append(source)
        return "fw.Dropout" in source

    found = minimised(SCRIPT, shows, 500)
    assert found.refused > 0
    assert found.tried == len(ran) == len(set(ran))


def test_the_budget_is_kept_and_what_is_there_by_then_still_shows_it() -> None:
    found = minimised(SCRIPT, lambda source: "fw.Dropout(0.5)" in source, 6)
    assert (found.tried, found.exhausted) == (6, True)
    assert "fw.Dropout(0.5)" in found.source
    assert len(found.source) < len(SCRIPT)


def test_a_script_that_cannot_be_made_smaller_stays() -> None:
    assert minimised(SCRIPT, lambda source: source == SCRIPT, 500).source == SCRIPT


def test_what_a_stopped_search_raises_is_no_error() -> None:
    def shows(_source: str) -> bool:
        raise Exhausted

    assert minimised(SCRIPT, shows, 500).source == SCRIPT


def test_a_script_with_bytes_that_are_no_ascii_is_cut_at_the_right_places() -> None:
    script = 'text = "häßlich"; keep = 1\nprint("ö", keep, "ü")\n'
    found = minimised(script, lambda source: "keep" in source, 500)
    assert found.source == "keep = 1\n" or "keep" in found.source
    compile(found.source, "script", "exec")


def test_a_block_of_requirements_is_no_comment() -> None:
    script = '# /// script\n# dependencies = ["pandas"]\n# ///\nimport pandas\n'
    assert without_comments(script) == script
    assert without_comments('a = """\n# text\n\n"""  # note\n') == 'a = """\n# text\n\n"""\n'

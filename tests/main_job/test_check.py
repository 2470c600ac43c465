"""The upgrade gate against real containers: safe, changed, and without a verdict."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from junitparser import JUnitXml

from tests.main_job.conftest import EXAMPLES, Tfbisect

pytestmark = [pytest.mark.containers, pytest.mark.index]
UPGRADE = ("--from", "1.13.1", "--to", "1.14.0", "--runner", "docker")


def test_an_upgrade_that_changes_what_is_printed_is_stopped(engine: None, tfbisect: Tfbisect, tmp_path: Path) -> None:
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    script = str(EXAMPLES / "script" / "output.py")
    ended = tfbisect("check", script, *UPGRADE, "--junit", str(junit), "--github", GITHUB_STEP_SUMMARY=str(summary))
    assert ended.code == 1, ended.err
    marks = [line for line in ended.out.splitlines() if line.startswith("::")]
    assert any(re.match(r"::error file=.*output\.py,line=1,title=tfbisect%3A prints", line) for line in marks)
    assert "changed: tensorflow 1.13.1 to 1.14.0: " in ended.out
    (suite,) = JUnitXml.fromfile(str(junit))
    assert "prints" in [case.name for case in suite if case.result]
    assert "1.14.0" in summary.read_text()
    again = tfbisect("check", script, *UPGRADE, "--fail-on", "introduced", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["safe"] is True


def test_an_upgrade_that_changes_nothing_is_safe(engine: None, tfbisect: Tfbisect, tmp_path: Path) -> None:
    script = tmp_path / "sum.py"
    script.write_text("import tensorflow as tf\nprint(sum(range(10)), hasattr(tf, 'constant'))\n")
    (tmp_path / "requirements.txt").write_text("numpy\ntensorflow==1.13.1 ; python_version < '4'\n")
    ended = tfbisect("check", str(script), *UPGRADE[2:])
    assert ended.code == 0, ended.err
    assert ended.out.startswith("safe: tensorflow 1.13.1 to 1.14.0: no difference in ends, prints")
    assert "from tensorflow 1.13.1, as in" in ended.err


def test_a_script_that_cannot_tell_is_no_verdict(engine: None, tfbisect: Tfbisect) -> None:
    ended = tfbisect("check", "-", *UPGRADE, given="import sys\nsys.exit(125)\n")
    assert ended.code == 3, ended.out + ended.err
    assert "No verdict" in ended.err

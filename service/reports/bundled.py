# /// script
# requires-python = ">=3.11"
# dependencies = ["packaging", "pydantic>=2"]
# ///
"""Runs the probe of a bisection again on both sides of its changes, and says whether it shows what was recorded.

It is reproduce.py of an evidence bundle, where `uv run reproduce.py` is all that it takes. It runs the script on this
machine as it is, with the network and without a sandbox. With --docker each side runs in a container of the official
Python image instead.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "program"))  # the rules of the probe that this bundle was made with

LIMIT_SECONDS = 1800
HINT = "; uv needs Python {python} for it, and downloads none older than 3.8: install it, or use --docker"
CLOSE = 1e-3
"""Relative: sums in single precision differ by less between processors."""


def reproduce(words: Sequence[str] | None = None) -> int:
    """Run every side; 0 if all show what was recorded, 1 if one does not, 2 if one could not be run."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    asked.add_argument("--docker", action="store_true", help="run in containers of the official Python image")
    in_containers = asked.parse_args(words).docker
    bundle = json.loads((HERE / "bundle.json").read_text("utf-8"))
    codes = [_tell(bundle, side, in_containers=in_containers) for side in bundle["sides"]]
    return max(codes, default=2)


def _tell(bundle: Mapping[str, Any], side: Mapping[str, Any], *, in_containers: bool) -> int:
    """Run one side and print what it shows."""
    name = f"{side['requirement']} (Python {side['python']})"
    event = _answer(side, in_containers=in_containers)
    if event is None:
        sys.stdout.write(f"{name}: could not be run{'' if in_containers else HINT.format(**side)}\n")
        return 2
    shown = _shown(bundle, event["result"])
    expected = side["expected"]
    others = {field: value for field, value in expected.items() if not _alike(shown.get(field), value)}
    if not others:
        what = ", ".join(f"{value}" if field == "outcome" else f"{field}: {value}" for field, value in expected.items())
        sys.stdout.write(f"{name}: as recorded: {what or 'it ran'}\n")
        return 0
    for field, value in others.items():
        sys.stdout.write(f"{name}: {field} is {shown.get(field, 'absent')!r}, recorded was {value!r}\n")
    return 1


def _answer(side: Mapping[str, Any], *, in_containers: bool) -> Mapping[str, Any] | None:
    """Return the one answer of the probe in one release; None where there is none."""
    boot = (HERE / "run" / "boot.py").read_text("utf-8")
    lock = HERE / "locks" / side["lock"]
    python = ["python", "-u", "-c", boot]
    if in_containers:
        inner = 'pip install -q -r "/bundle/locks/$0" >&2 && exec python -u -c "$1"'
        command = ["docker", "run", "--rm", "-i", "-v", f"{HERE}:/bundle:ro", f"python:{side['python']}"]
        command += ["sh", "-c", inner, side["lock"], boot]
    else:
        command = ["uv", "run", "--no-project", "--isolated", "--python", side["python"]]
        command += ["--with-requirements", str(lock), "--", *python]
    variables = {**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "2", **bundle_variables(side)}
    with tempfile.TemporaryDirectory() as folder, (HERE / "run" / "input.jsonl").open("rb") as asked:
        try:
            ran = subprocess.run(
                command,
                check=False,
                cwd=folder,
                env=variables,
                stdin=asked,
                stdout=subprocess.PIPE,
                timeout=LIMIT_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"{error}\n")
            return None
    lines = (json.loads(line) for line in ran.stdout.splitlines() if line.startswith(b'{"'))
    return next((each for each in lines if each.get("event") == "result"), None)


def bundle_variables(side: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that the script sets for itself in one release, such as TF_USE_LEGACY_KERAS."""
    return {str(name): str(value) for name, value in side.get("variables", {}).items()}


def _shown(bundle: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result means by the rules of the probe: its outcome, or the fields of the leading aspect."""
    from service.bisection.facts import facts_of  # noqa: PLC0415 - found only now that the path is set
    from service.bisection.outcomes import Outcome, RunReport, classify  # noqa: PLC0415

    spec = importlib.util.spec_from_file_location("judge", HERE / "run" / "judge.py")
    if spec is None or spec.loader is None:
        raise SystemExit("run/judge.py is missing from this bundle")
    rules = importlib.util.module_from_spec(spec)
    sys.modules["judge"] = rules
    spec.loader.exec_module(rules)
    report = RunReport("answered", result=_with_parameters(result, bundle["judged"]))
    if bundle["aspect"]:
        facts = facts_of(report, rules.aspects).get(bundle["aspect"])
        return dict(facts.values) if facts is not None else {}
    answer = classify(report, rules.judge)
    return {"outcome": answer.label if isinstance(answer, Outcome) else str(answer)}


def _with_parameters(result: Mapping[str, Any], judged: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a result with the parameters that only the rules read."""
    measured = result.get("measurements")
    if not judged or not isinstance(measured, Mapping):
        return result
    asked = measured.get("parameters")
    given = {**asked, **judged} if isinstance(asked, Mapping) else dict(judged)
    return {**result, "measurements": {**measured, "parameters": given}}


def _alike(found: object, recorded: object) -> bool:
    if isinstance(found, int | float) and isinstance(recorded, int | float):
        return math.isclose(found, recorded, rel_tol=CLOSE, abs_tol=CLOSE)
    return found == recorded


if __name__ == "__main__":
    sys.exit(reproduce())

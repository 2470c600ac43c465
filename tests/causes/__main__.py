"""Seeks the causes in truth.toml, in real containers, and prints a table: what was named beside what is true.

Images that are missing are built; runs are kept in the user's own data directory, so a second call makes none again.
Exit code 1 if anything was named that is not true, or a case that must be found was not.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.bootstrap import House, set_up_logging
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.settings import Settings

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
CASES: list[dict[str, Any]] = tomllib.loads((FOLDER / "truth.toml").read_text("utf-8"))["cause"]


def sought(house: House, case: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bisect between two releases and return the cause of the leading change."""
    request = BisectionRequest(
        snippet=(ROOT / case["script"]).read_text("utf-8"),
        probe=case.get("probe", "behaviour"),
        releases=f"{case['before']},{case['after']}",
        branches="all",
    )
    finished = house.submission.run(request, Silent(), ready=lambda: None)
    if finished.verdict is None or not finished.verdict["changes"]:
        return {"definitions": [], "switches": [], "runs": 0, "stages": [], "said": "no change"}
    row = house.store.bisection(finished.verdict["id"])
    return house.explaining.explain(row, only=0, budget=case.get("budget", 100))[0]


def judged(case: Mapping[str, Any], cause: Mapping[str, Any]) -> str:
    """Say how what was named stands to what is true."""
    named, true = {each["name"] for each in cause["definitions"]}, set(case["definitions"])
    if not named:
        return "left open" if not true or case.get("open") else "missed"
    if named == true:
        return "exact"
    return "among" if true and true <= named else "wrong"


def main() -> int:
    """Print a row for each case."""
    set_up_logging(quiet=True)
    failed = False
    house = House(Settings(causes=True))
    try:
        print(f"{'script':<28}{'releases':<18}{'found':<10}{'runs':<6}named; switches")
        for case in CASES:
            cause = sought(house, case)
            found = judged(case, cause)
            switches = [each["name"] for each in cause["switches"]]
            failed |= found in ("wrong", "missed") or not set(case.get("switches", ())) <= set(switches)
            names = ", ".join(each["name"] for each in cause["definitions"]) or "nothing"
            place = f"{case['before']}, {case['after']}"
            row = f"{Path(case['script']).stem:<28}{place:<18}{found:<10}{cause['runs']:<6}{names}"
            print(f"{row}; {', '.join(switches) or 'none'}", flush=True)
    finally:
        house.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Scripts with packages of their own, in real containers of several releases: additions.toml says what they print.

python -m tests.behaviour.additions [SCRIPT...] asks them and prints a table; images that are missing are built.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.bootstrap import House
from service.catalog.additions import not_addable
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class BesideCase:
    """A script, and a line that it prints in each release, or which addition a release cannot have."""

    script: str
    package: str
    named: Sequence[str]
    prints: Mapping[str, str]
    untestable: Mapping[str, str]

    @property
    def source(self) -> str:
        return (FOLDER / "beside" / f"{self.script}.py").read_text("utf-8")

    @property
    def request(self) -> BisectionRequest:
        asked = {
            "snippet": self.source,
            "probe": "script",
            "package": self.package,
            "releases": ",".join([*self.prints, *self.untestable]),
            "resolution": 1,
            "with": self.named,
        }
        return BisectionRequest.model_validate(asked)


def beside_cases() -> list[BesideCase]:
    """Return the cases of additions.toml."""
    rows = tomllib.loads((FOLDER / "additions.toml").read_text("utf-8"))["case"]
    return [
        BesideCase(
            row["script"], row.get("package", "tensorflow"), row.get("with", []), row["prints"],
            row.get("untestable", {}),
        )
        for row in rows
    ]  # fmt: skip


def found_in(house: House, case: BesideCase) -> dict[str, str]:
    """Return what each release printed, or which addition it cannot have."""
    finished = house.submission.run(case.request, Silent(), ready=lambda: None)
    verdict = finished.verdict or {}
    said: dict[str, str] = {}
    for linked in house.store.linked_observations(verdict["id"]):
        release, lines = linked.observation.identity.release, linked.observation.report.output.strip().splitlines()
        # Frameworks log among what the script prints.
        said[release] = next((line for line in lines if line == case.prints.get(release)), lines[-1] if lines else "")
    missing = {gap["release"]: ", ".join(not_addable(gap["reason"])) or gap["reason"] for gap in verdict["untestable"]}
    return {**missing, **said}


def main(chosen: Sequence[str]) -> int:
    """Ask the cases, print a row for each release, and return 1 where one is not as additions.toml says."""
    wrong = 0
    house = House()
    try:
        for case in beside_cases():
            if chosen and case.script not in chosen:
                continue
            found = found_in(house, case)
            for release, expected in {**case.prints, **case.untestable}.items():
                is_as_said = found.get(release) == expected
                wrong += not is_as_said
                mark = "ok" if is_as_said else f"not {expected!r}"
                print(
                    f"{case.script:<14} {' '.join(case.named):<16} {release:<8} {found.get(release)!r} {mark}",
                    flush=True,
                )
    finally:
        house.close()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

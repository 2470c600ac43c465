"""`make bench`: every benchmark, each in a process of its own; the ratios are gathered in benchmarks/RESULTS.md.

It takes a quarter of an hour at most on two idle cores; `FULL=1 make bench` asks every release, and more often.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SHORT: Mapping[str, Sequence[str]] = {
    "search": (),
    "lock_files": (),
    "answers": ("--rounds", "2"),
    "runner": ("--rounds", "3"),
    "probes": ("--rounds", "1"),
    "aspects": ("--rounds", "1"),
    "web": (),
    "images": ("1.8.0", "2.10.0"),
    "cluster": ("--rounds", "1"),
}
"""The benchmarks, and what keeps each short; without it they take an hour together."""
HERE = Path(__file__).parent


def main() -> int:
    """Run what is named on the command line, or everything; the exit code counts what missed its target."""
    chosen = [name for name in sys.argv[1:] if name in SHORT] or list(SHORT)
    missed = []
    for name in chosen:
        began = time.monotonic()
        print(f"bench: {name}", flush=True)
        options = () if os.environ.get("FULL") else SHORT[name]
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode:
            missed.append(name)
        print(f"bench: {name} took {time.monotonic() - began:.0f} s", flush=True)
    gather()
    print(f"bench: missed a target or could not run: {', '.join(missed) or 'none'}")
    return len(missed)


def gather() -> None:
    """Put the Markdown of every benchmark into one page."""
    pages = [page.read_text(encoding="utf-8").strip() for page in sorted((HERE / "results").glob("*.md"))]
    (HERE / "RESULTS.md").write_text("\n\n".join(["# Measured", *pages]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

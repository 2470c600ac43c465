"""`make bench`: every benchmark, each in a process of its own; the ratios are gathered in benchmarks/RESULTS.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("search", "runner", "main_job", "probes", "web", "images")
HERE = Path(__file__).parent


def main() -> int:
    """Run what is named on the command line, or everything; the exit code counts what missed its target."""
    chosen = [name for name in sys.argv[1:] if name in BENCHMARKS] or [
        name for name in BENCHMARKS if (HERE / f"{name}.py").exists()
    ]
    missed = []
    for name in chosen:
        print(f"bench: {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            missed.append(name)
    gather()
    print(f"bench: missed a target or could not run: {', '.join(missed) or 'none'}")
    return len(missed)


def gather() -> None:
    """Put the Markdown of every benchmark into one page."""
    pages = [page.read_text(encoding="utf-8").strip() for page in sorted((HERE / "results").glob("*.md"))]
    (HERE / "RESULTS.md").write_text("\n\n".join(["# Measured", *pages]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

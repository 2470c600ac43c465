"""Finds the data folders: beside `service/` in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def resource_dir(name: str) -> Path:
    """Return the folder of images, probes, examples or migrations.

    Raises:
        FileNotFoundError: neither place has it; the installation is broken.
    """
    package = Path(__file__).parent
    for candidate in (package.parent / name, package / "_resources" / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no folder {name} beside {package}; install tfbisect again")

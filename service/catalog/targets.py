"""What an image or an environment is made for: one release of a package on one hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Hardware = Literal["cpu", "cuda"]
ImageSource = Literal["built", "official"]
"""Where an image comes from: built here from the index, or the project's own, from a registry."""


@dataclass(frozen=True)
class Target:
    """One release on one hardware: what an image or an environment is made for."""

    package: str
    release: str
    hardware: Hardware = "cpu"
    source: ImageSource | None = None
    """None: as the settings and the rules say."""

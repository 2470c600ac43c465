"""What an image or an environment is made for: one release of a package on one hardware."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    additions: tuple[str, ...] = ()
    """Requirements that the request or the script names, in their normal form; see additions.py."""
    imports: tuple[str, ...] = ()
    """Those that the script's imports need. An official image keeps what it has instead."""

    @property
    def alone(self) -> Target:
        """Return the release without additions."""
        return replace(self, additions=(), imports=())

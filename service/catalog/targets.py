"""What an image or an environment is made for: one release of a package on one hardware."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Hardware = Literal["cpu", "cuda"]
ImageSource = Literal["built", "official"]
"""Where an image comes from: built here from the index, or the project's own, from a registry."""


@dataclass(frozen=True)
class Hold:
    """What of an environment is held, whatever the release would have by its own day."""

    python: str = ""
    """The interpreter's minor; "" for the recipe's own."""
    as_of: str = ""
    """Moment in ISO form that dependencies are taken as of; "" for the release's own day."""
    pins: tuple[str, ...] = ()
    """Exact versions, such as numpy==1.26.4, of what is installed if anything needs it."""

    def __bool__(self) -> bool:
        """Return whether anything is held."""
        return bool(self.python or self.as_of or self.pins)


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
    hold: Hold = Hold()
    variables: tuple[tuple[str, str], ...] = ()
    """Variables that the script sets before it imports the release: a run imports that ahead of the script."""

    @property
    def alone(self) -> Target:
        """Return the release without additions."""
        return replace(self, additions=(), imports=(), variables=())

from __future__ import annotations

from tests.probes.conftest import release

__all__ = ["release"]

"""Copies interpreters out of grounds: a coordinator in a container has none, and every ground has one.

Old releases depend on source packages, whose metadata depends on the interpreter that builds them. Only an interpreter
of the same version gives the same lock, and so the same environment, as on any other machine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from service.images.engine import ImageEngine, StoredImage
from service.images.grounds import Grounds
from service.locks import held

PARTS = """
import glob, os, sys
name = 'python%d.%d' % sys.version_info[:2]
print(sys.base_prefix)
print('bin/' + name)
print('lib/' + name)
for library in sorted(glob.glob(sys.base_prefix + '/lib/lib' + name + '*.so*')):
    print('lib/' + os.path.basename(library))
"""


class GroundInterpreters:
    """Copies each interpreter out of its ground once."""

    def __init__(self, engine: ImageEngine, grounds: Grounds, data_dir: Path) -> None:
        self._engine = engine
        self._grounds = grounds
        self._data_dir = data_dir

    def find(self, python: str) -> Path:
        """Return an interpreter such as "3.6", copied from the ground that releases run on.

        Raises:
            NoInterpreter: there is no ground with it, and none can be made.
            Unavailable: the engine went away.
        """
        ground = self._grounds.ensure(python)
        home = self._data_dir / "interpreters" / f"{python}-{ground.id[7:19]}"
        with held(self._data_dir / "locks" / f"interpreter-{python}.lock"):
            if not home.is_dir():
                self._take_out(ground, home)
        return home / "bin" / f"python{python}"

    def _take_out(self, ground: StoredImage, home: Path) -> None:
        """Copy an interpreter; its folder gets its name only when the copy is complete."""
        prefix, *parts = self._engine.run(ground.id, ["python", "-c", PARTS]).split()
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            fresh = Path(scratch) / "prefix"
            for part in parts:
                folder = fresh / PurePosixPath(part).parent
                folder.mkdir(parents=True, exist_ok=True)
                self._engine.copy_out(ground.id, f"{prefix}/{part}", folder)
            fresh.rename(home)

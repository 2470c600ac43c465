"""Imports a module and keeps the byte code that this leaves, in a container of a release:

    byte_code.py MODULE [NAME ...] ROOT

With a ROOT the packages cannot be written to, and their byte code is put below that folder, as the image will have it;
"" leaves it where it belongs. Without a MODULE nothing is imported and everything is compiled, or the packages of some
names, but not their tests, which nothing imports. For Python 3.5 to 3.13,
standard library only.
"""

import importlib
import importlib.machinery
import importlib.util
import py_compile
import sys
from pathlib import Path

PACKAGES = next(Path("/opt/tfbisect/environment/lib").glob("python*/site-packages"))
# The date of all files in an image (service/images/archives.py): byte code made for another date is stale.
EPOCH = 315532800


def move_byte_code(root):
    """Let the import system put byte code of packages below a root, and date it by the image."""
    machinery = importlib._bootstrap_external
    place, stats = machinery.cache_from_source, machinery.SourceFileLoader.path_stats

    def moved(path, *rest, **named):
        return (root if path.startswith(str(PACKAGES)) else "") + place(path, *rest, **named)

    def dated(loader, path):
        found = stats(loader, path)
        return dict(found, mtime=EPOCH) if path.startswith(str(PACKAGES)) else found

    machinery.cache_from_source = moved
    machinery.SourceFileLoader.path_stats = dated


def sources(names):
    """Return the files of the packages of some names, or of all."""
    places = [PACKAGES / name for name in names] or [PACKAGES]
    found = [path for place in places for path in ([place] if place.suffix == ".py" else place.rglob("*.py"))]
    return sorted(path for path in found if not names or "tests" not in path.parts)


def compile_all(root, names):
    """Compile every file; what is for another Python stays as it is."""
    for path in map(str, sources(names)):
        # What `move_byte_code` changed is not what this name stands for.
        place = root + importlib.util.cache_from_source(path)
        try:
            py_compile.compile(path, cfile=place, doraise=True)
        except (py_compile.PyCompileError, ValueError, OSError) as error:
            sys.stderr.write("not compiled: {}: {}\n".format(path, error))


if __name__ == "__main__":
    module, *names, root = sys.argv[1:]
    if root:
        move_byte_code(root)
    if module:
        importlib.import_module(module)
    else:
        compile_all(root, names)

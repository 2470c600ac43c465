"""Folders for a moment, which are gone in the end even where their process was killed.

Each process keeps its own in one folder under the system's temporary one, and holds a lock on that as long as it
lives. Whenever another process asks for a folder, what is locked by nobody is cleared away.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "tfbisect-scratch-"
_making = threading.Lock()
_made: dict[int, Path] = {}
"""The folder of this process by its number: a forked child makes its own."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder of this process and user alone, and remove it."""
    folder = make_scratch_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_scratch_folder() -> Path:
    """Return a new folder that the caller removes; where the caller is killed, the next process does."""
    return Path(tempfile.mkdtemp(dir=_root()))


def _root() -> Path:
    # Each time, not only at first: a coordinator that lives on for weeks works beside others that are killed.
    clear_away_the_dead()
    with _making:
        root = _made.get(os.getpid())
        if root is None or not root.is_dir():
            root = _made[os.getpid()] = _new_root()
            atexit.register(_remove_own, root, os.getpid())
        return root


def _remove_own(root: Path, maker: int) -> None:
    # A forked child ends too, while its parent goes on.
    if os.getpid() == maker:
        shutil.rmtree(root, ignore_errors=True)


def _new_root() -> Path:
    """Make and lock a folder; it gets the name that others look for when it is locked already."""
    unnamed = Path(tempfile.mkdtemp(prefix="tfbisect-new-"))
    # Other users may pass through, to the folder that was made for them, and see nothing else.
    unnamed.chmod(0o711)
    fcntl.flock(os.open(unnamed, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    return unnamed.rename(unnamed.with_name(PREFIX + secrets.token_hex(8)))


def clear_away_the_dead() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.stat(follow_symlinks=False).st_uid == os.geteuid() and not is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def is_held(folder: Path) -> bool:
    """Say whether a living process holds a folder of scratch folders."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

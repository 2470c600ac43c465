"""Which files of a folder belong to a project: not what git ignores, not what tools leave behind, no secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pathspec import GitIgnoreSpec

from service.errors import ProjectError
from service.projects.files import shown_path

IGNORE_FILE = ".gitignore"
IGNORE_BYTES = 256 * 1024
# What version control and tools keep for themselves: no run needs it.
LEFT_BEHIND = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".tox",
        ".nox",
        ".venv",
        "__pycache__",
        "node_modules",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".ipynb_checkpoints",
        ".DS_Store",
    }
)
SECRET_FOLDERS = frozenset({".aws", ".azure", ".docker", ".gnupg", ".kube", ".ssh"})
SECRET_NAME = re.compile(
    r"""
    \.env (?!\.(example|sample|template|dist)$) (\..*)? | .*\.env
    | .*\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk)
    | id_(rsa|dsa|ecdsa|ed25519).*
    | [._]netrc | \.pypirc | \.npmrc | \.pgpass | \.htpasswd | \.git-credentials | \.dockercfg
    | (\.?credentials|secrets?|service[-_]?account.*) (\.(json|ya?ml|toml|ini|cfg|conf|txt|xml|csv))?
    | (client_secret.*|kaggle)\.json
    """,
    re.VERBOSE | re.IGNORECASE,
)
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----")
KEY_WITHIN_BYTES = 64 * 1024


@dataclass
class Ignored:
    """What the .gitignore files of a folder and of those above it leave out."""

    _specs: dict[str, GitIgnoreSpec] = field(default_factory=dict)
    """By folder, "" for the project's own; "../" as often as it lies above."""

    def add(self, folder: str, text: bytes) -> None:
        """Take the lines of a folder's .gitignore.

        Raises:
            ProjectError: it cannot be read as one.
        """
        try:
            self._specs[folder] = GitIgnoreSpec.from_lines(text[:IGNORE_BYTES].decode("utf-8", "replace").splitlines())
        except ValueError as error:
            raise ProjectError(f"the {IGNORE_FILE} in {shown_path(folder or '.')} cannot be read: {error}") from None

    def covers(self, path: str, *, is_folder: bool = False) -> bool:
        """Say whether a path is left out; the file next to it has the last word."""
        parts = path.split("/")
        if parts[-1] in LEFT_BEHIND or parts[-1].endswith((".pyc", ".pyo")):
            return True
        for depth in range(len(parts) - 1, -1, -1):
            below = "/".join(parts[depth:]) + "/" * is_folder
            verdict = self._said("/".join(parts[:depth]), below)
            if verdict is not None:
                return verdict
        return self._said_above(path + "/" * is_folder)

    def covers_within(self, path: str) -> bool:
        """Say whether a path or a folder that it lies in is left out."""
        parts = path.split("/")
        folders = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return any(self.covers(folder, is_folder=True) for folder in folders) or self.covers(path)

    def _said(self, folder: str, below: str) -> bool | None:
        spec = self._specs.get(folder)
        return None if spec is None else spec.check_file(below).include

    def _said_above(self, path: str) -> bool:
        """Ask the files above the project's folder, the nearest first; each is known by the way down to the project."""
        above = sorted((folder for folder in self._specs if folder.startswith("/")), key=len)
        said = (self._said(folder, f"{folder[1:]}/{path}") for folder in above)
        return bool(next((each for each in said if each is not None), False))


def is_secret(path: str, content: bytes) -> bool:
    """Say whether a file looks like a secret: by its name, its folder, or a private key in it."""
    *folders, name = path.split("/")
    if SECRET_FOLDERS & set(folders) or SECRET_NAME.fullmatch(name):
        return True
    return PRIVATE_KEY.search(content[:KEY_WITHIN_BYTES]) is not None

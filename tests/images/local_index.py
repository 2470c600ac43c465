"""A package index on loopback with real wheels and source packages, so that uv resolves and installs offline."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MEDIA_TYPE = "application/vnd.pypi.simple.v1+json"

# A source package that no Python but one can build, as those of 2018 were; its backend lies in it, so that building
# asks nothing of the index.
BACKEND = """
import sys

def refuse(*_):
    raise RuntimeError("Python version 2.7 or 3.4+ is required.")

get_requires_for_build_wheel = prepare_metadata_for_build_wheel = build_wheel = refuse
"""


@dataclass
class LocalIndex:
    """Projects and their files."""

    files: dict[str, dict[str, tuple[bytes, str]]] = field(default_factory=dict)
    """Project -> file -> content and upload time."""
    asked: list[str] = field(default_factory=list)
    """Files that were downloaded."""
    url: str = ""

    def wheel(
        self,
        name: str,
        version: str,
        uploaded: str,
        requires: str = "",
        code: str = "",
        *,
        tag: str = "py3-none-any",
    ) -> None:
        """Put a wheel of one module on the index."""
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += f"Requires-Dist: {requires}\n" if requires else ""
        members = {
            f"{name}.py": code or f"__version__ = {version!r}\n",
            f"{info}/METADATA": metadata,
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        }
        members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for path, text in members.items():
                archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
        self._put(name, f"{name}-{version}-{tag}.whl", content.getvalue(), uploaded)

    def source_that_does_not_build(self, name: str, version: str, uploaded: str) -> None:
        """Put a source package on the index whose building fails."""
        project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        members = {"pyproject.toml": project, "backend.py": BACKEND, "PKG-INFO": f"Name: {name}\nVersion: {version}\n"}
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for path, text in members.items():
                entry = tarfile.TarInfo(f"{name}-{version}/{path}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        self._put(name, f"{name}-{version}.tar.gz", content.getvalue(), uploaded)

    def remove(self, name: str, version: str) -> None:
        """Take a version from the index, as an index takes nightlies."""
        self.files[name] = {file: kept for file, kept in self.files[name].items() if f"-{version}" not in file}

    def page(self, name: str) -> bytes | None:
        """Return a project's page; None where there is none."""
        if name not in self.files:
            return None
        rows: list[dict[str, Any]] = [
            {
                "filename": file,
                "url": f"{self.url}files/{name}/{file}",
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                "upload-time": uploaded,
                "size": len(content),
            }
            for file, (content, uploaded) in self.files[name].items()
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": rows}).encode()

    def _put(self, name: str, file: str, content: bytes, uploaded: str) -> None:
        self.files.setdefault(name, {})[file] = (content, f"{uploaded}T10:00:00Z")


@contextmanager
def served(index: LocalIndex) -> Iterator[LocalIndex]:
    """Serve an index while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            *folders, name = self.path.strip("/").split("/")
            if "files" in folders:
                if self.command == "GET":
                    index.asked.append(name)
                self._answer(index.files[folders[-1]][name][0], "application/octet-stream")
            else:
                self._answer(index.page(name), MEDIA_TYPE)

        def _answer(self, body: bytes | None, media_type: str) -> None:
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        def do_HEAD(self) -> None:
            self.do_GET()

        # Named so by http.server.
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_port}/simple/"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A registry on a port of this machine, read-only: the part of Docker Registry HTTP API 2 that a pull needs."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import docker

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


@dataclass
class Registry:
    """Serves images that an engine has saved."""

    address: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    """name:tag -> digest of its manifest."""
    asked: list[str] = field(default_factory=list)

    def offer(self, client: docker.DockerClient, image: str, name: str, folder: Path) -> str:
        """Take an image of the engine under a name and return its digest."""
        saved = folder / "saved.tar"
        with saved.open("wb") as file:
            file.writelines(client.images.get(image).save())
        with tarfile.open(saved) as archive:

            def part(member: str, kind: str) -> dict[str, Any]:
                stream = archive.extractfile(member)
                assert stream is not None
                content = stream.read()
                return {"mediaType": kind, "size": len(content), "digest": self._keep(content)}

            # `docker save` writes it as a plain file, which is what extractfile returns None for anything but.
            listed = json.loads(archive.extractfile("manifest.json").read())[0]  # type: ignore[union-attr]
            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": part(listed["Config"], CONFIG),
                "layers": [part(layer, LAYER) for layer in listed["Layers"]],
            }
        saved.unlink()
        self.tags[name] = self._keep(json.dumps(manifest).encode())
        return self.tags[name]

    def answer(self, path: str) -> tuple[str, str] | None:
        """Return the digest and the kind of what a path names."""
        name, _, reference = path.removeprefix("/v2/").rpartition("/")
        if name.endswith("/manifests"):
            image = name.removesuffix("/manifests")
            digest = self.tags.get(f"{image}:{reference}", reference)
            return (digest, MANIFEST) if digest in self.blobs else None
        return (reference, "application/octet-stream") if reference in self.blobs else None

    def _keep(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest


@contextmanager
def a_registry() -> Iterator[Registry]:
    """Serve on 127.0.0.1, which engines allow without TLS."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._say(body=False)

        def do_GET(self) -> None:
            self._say(body=True)

        def _say(self, *, body: bool) -> None:
            registry.asked.append(self.path)
            found = registry.answer(self.path)
            content = registry.blobs[found[0]] if found else UNKNOWN
            self.send_response(200 if found or self.path == "/v2/" else 404)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Content-Type", found[1] if found else "application/json")
            self.send_header("Content-Length", str(len(content)))
            if found:
                self.send_header("Docker-Content-Digest", found[0])
            self.end_headers()
            if body:
                self.wfile.write(content)

        # Named so by http.server.
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    registry.address = f"127.0.0.1:{server.server_port}"
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Static files: named by their content, compressed once, kept for ever by browsers."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
COMPRESSED_TYPES = frozenset({"text/css", "text/javascript", "image/svg+xml", "text/plain"})
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A file as it is served."""

    name: str
    """Path below static/, such as `app.css`."""
    body: bytes
    media_type: str

    @cached_property
    def digest(self) -> str:
        """Return the fingerprint in the file's address."""
        return hashlib.sha256(self.body).hexdigest()[:10]

    @cached_property
    def fingerprinted(self) -> str:
        """Return the name with the fingerprint: `app.3f2a1b9c0d.css`."""
        path = PurePosixPath(self.name)
        return str(path.with_name(f"{path.stem}.{self.digest}{path.suffix}"))

    @cached_property
    def compressed(self) -> bytes | None:
        """Return the body compressed, or None where that gains nothing."""
        if self.media_type not in COMPRESSED_TYPES:
            return None
        packed = gzip.compress(self.body, 9, mtime=0)
        return packed if len(packed) < len(self.body) else None


class Assets:
    """All static files, read once."""

    def __init__(self, folder: Path = STATIC) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        assets = [Asset(path.relative_to(folder).as_posix(), path.read_bytes(), _media_type(path)) for path in files]
        self._by_name = {asset.name: asset for asset in assets}
        self._by_address = {asset.fingerprinted: asset for asset in assets}

    def url(self, name: str) -> str:
        """Return the address of a file.

        Raises:
            KeyError: there is no such file; a template is wrong.
        """
        return f"/static/{self._by_name[name].fingerprinted}"

    async def serve(self, request: Request) -> Response:
        """Answer a request for a file; any other name, without its fingerprint too, is not found."""
        asset = self._by_address.get(request.path_params["path"])
        if asset is None:
            return Response("no such file", 404, media_type="text/plain")
        headers = {"cache-control": FOR_EVER, "etag": f'"{asset.digest}"', "vary": "accept-encoding"}
        body = asset.body
        if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            body = asset.compressed
        return Response(body, media_type=asset.media_type, headers=headers)


def _media_type(path: Path) -> str:
    """Return the media type of a file."""
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return "text/javascript" if guessed == "application/javascript" else guessed

"""Static files: named by their content, compressed once, cached for ever by browsers."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from service.reports.documents import Document

STATIC = Path(__file__).parent / "static"
COMPRESSED_TYPES = frozenset({"text/css", "text/javascript", "image/svg+xml", "text/plain"})
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
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
    def document(self) -> Document:
        """Return the content, compressed if that helps."""
        plain = Document.of_bytes(self.body)
        if self.media_type not in COMPRESSED_TYPES:
            return plain
        packed = gzip.compress(self.body, 9, mtime=0)
        return Document(plain.etag, packed, is_zipped=True) if len(packed) < len(self.body) else plain


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
        """Answer a request for a file; names without the right fingerprint are not found."""
        asset = self._by_address.get(request.path_params["path"])
        if asset is None:
            return Response("no such file", 404, media_type="text/plain")
        status, headers, body = asset.document.answer(
            request.headers, _content_type(asset.media_type), cache_control=FOR_EVER, vary="accept-encoding"
        )
        return Response(body, status, headers)

    async def serve_icon(self, request: Request) -> Response:
        """Answer with the icon that browsers and feed readers ask for by itself."""
        asset = self._by_name["favicon.ico"]
        status, headers, body = asset.document.answer(
            request.headers, asset.media_type, cache_control="public, max-age=86400", vary="accept-encoding"
        )
        return Response(body, status, headers)


def _content_type(media_type: str) -> str:
    """Return a media type with its charset, where it is text."""
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


def _media_type(path: Path) -> str:
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return "text/javascript" if guessed == "application/javascript" else guessed

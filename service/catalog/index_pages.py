"""One page of a package index, bounded in time and size and read by a schema: what an index says is not trusted.

An index may be away, slow for ever, behind a login page, or answer with anything at all under status 200.
"""

from __future__ import annotations

import json
import os
import ssl
import zlib
from dataclasses import dataclass
from functools import partial
from netrc import NetrcParseError
from pathlib import Path

import anyio
import httpx
from anyio.from_thread import start_blocking_portal
from packaging.utils import canonicalize_name
from pydantic import ValidationError
from pypi_simple import ACCEPT_JSON_PREFERRED, DistributionPackage, ProjectPage, UnsupportedRepoVersionError

PAGE_SECONDS = 60.0
"""From the first look for the address to the last byte."""
SILENCE_SECONDS = 20.0
CONNECT_SECONDS = 5.0
JSON_BYTES = 16 * 1024**2  # unpacked; the largest list that this project asks for has 1 MB
HTML_BYTES = 4 * 1024**2  # reading HTML takes ten times as long as reading JSON
MOST_FILES = 50_000
LONGEST_FILENAME = 300
LARGEST_FILE = 2**50
YEARS = range(1990, 2100)
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPES = frozenset({"application/vnd.pypi.simple.v1+html", "text/html"})


class NoSuchPage(Exception):
    """The index answers that it has no such package."""


class OddPage(Exception):
    """The index does not answer, or not with a list of a package's files; the message says what it does instead."""


@dataclass(frozen=True)
class IndexPage:
    """What came back, unpacked."""

    url: str
    """Where it came from in the end."""
    content_type: str
    charset: str | None
    content: bytes


def listed_files(
    url: str, package: str, ca_bundle: Path | None = None, credentials: tuple[str, str] | None = None
) -> list[DistributionPackage]:
    """Ask an index for the files of a package; there is at least one.

    Args:
        url: address of the Simple API.
        package: the name as PEP 503 spells it.
        ca_bundle: certificates to trust, in place of the usual ones.
        credentials: user and password; sent to the index's own host alone.

    Raises:
        NoSuchPage: it has no such package.
        OddPage: anything else but a list of that package's files.
    """
    with start_blocking_portal() as portal:
        page = portal.call(partial(_fetch, f"{url.rstrip('/')}/{package}/", ca_bundle, credentials))
    return files_on(page, package)


def files_on(page: IndexPage, package: str) -> list[DistributionPackage]:
    """Return the files of a package that a page lists; there is at least one.

    Raises:
        OddPage: it is anything else but a list of that package's files.
    """
    files = _read(page, package)
    if not files:
        raise OddPage("lists no file at all")
    own = [file for file in files if belongs_to(file.filename, package)]
    if not own:
        raise OddPage(f"lists files of others only, such as {files[0].filename[:80]!r}")
    for file in own:
        _check(file)
    return own


def belongs_to(filename: str, package: str) -> bool:
    """Say whether a file can be one of a package, by its name."""
    return canonicalize_name(filename).startswith(f"{package}-")


async def _fetch(address: str, ca_bundle: Path | None, credentials: tuple[str, str] | None) -> IndexPage:
    """Fetch a page within its time, however slowly its bytes come."""
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    # Only what `_unpacked` takes: it stops in the middle of what unpacks to gigabytes.
    headers = {"Accept": ACCEPT_JSON_PREFERRED, "Accept-Encoding": "gzip"}
    try:
        with anyio.fail_after(PAGE_SECONDS):
            async with (
                httpx.AsyncClient(
                    verify=_trusted(ca_bundle),
                    auth=_signing(credentials),
                    timeout=timeout,
                    headers=headers,
                    follow_redirects=True,
                    max_redirects=5,
                ) as client,
                client.stream("GET", address) as answer,
            ):
                return await _page(answer)
    except TimeoutError as error:
        raise OddPage(f"takes more than {PAGE_SECONDS:.0f} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise OddPage(f"does not answer ({type(error).__name__}: {str(error)[:200]})") from error


def _trusted(ca_bundle: Path | None) -> ssl.SSLContext | bool:
    """Return which certificates to trust; the variables are those that requests and curl go by."""
    bundle = ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return ssl.create_default_context(cafile=bundle) if bundle and Path(bundle).is_file() else True


def _signing(credentials: tuple[str, str] | None) -> httpx.Auth | None:
    """Return how to sign in: as the settings say, else as the user's .netrc says."""
    if credentials is not None:
        return httpx.BasicAuth(*credentials)
    try:
        return httpx.NetRCAuth()
    except (OSError, NetrcParseError):
        return None


async def _page(answer: httpx.Response) -> IndexPage:
    """Read an answer up to the size that it may have."""
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise NoSuchPage
    if answer.status_code != httpx.codes.OK:
        raise OddPage(f"answers {answer.status_code} {answer.reason_phrase[:40]}")
    kind = answer.headers.get("content-type", "text/html").partition(";")[0].strip().lower()
    if kind != JSON_TYPE and kind not in HTML_TYPES:
        raise OddPage(f"answers with {kind[:80]!r}, which is no list of files")
    limit = JSON_BYTES if kind == JSON_TYPE else HTML_BYTES
    return IndexPage(str(answer.url), kind, answer.charset_encoding, await _unpacked(answer, limit))


async def _unpacked(answer: httpx.Response, limit: int) -> bytes:
    """Return the body, unpacked piece by piece so that a small one never becomes a large one."""
    packing = answer.headers.get("content-encoding", "identity").lower()
    if packing not in {"gzip", "identity"}:
        raise OddPage(f"packs its answer as {packing[:40]!r}, which was not asked for")
    unpack = zlib.decompressobj(wbits=31) if packing == "gzip" else None
    content = bytearray()
    async for piece in answer.aiter_raw():
        try:
            content += unpack.decompress(piece, limit + 1 - len(content)) if unpack else piece
        except zlib.error as error:
            raise OddPage(f"sends what cannot be unpacked ({error})") from error
        if len(content) > limit:
            raise OddPage(f"sends more than {limit // 1024**2} MiB")
    if unpack is not None and not unpack.eof:
        raise OddPage("stops in the middle of its answer")
    return bytes(content)


def _read(page: IndexPage, package: str) -> list[DistributionPackage]:
    """Read the files that a page lists, in either of the two forms of the Simple API."""
    try:
        if page.content_type == JSON_TYPE:
            files = ProjectPage.from_json_data(json.loads(page.content), page.url).packages
        else:
            files = ProjectPage.from_html(package, page.content, page.url, page.charset).packages
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))[:80]
        raise OddPage(f"sends JSON that is no list of files ({place or 'the whole'}: {first['msg'][:120]})") from error
    except json.JSONDecodeError as error:
        raise OddPage(f"sends what is no JSON ({error.msg} at {error.pos} of {len(page.content)} bytes)") from error
    # What two parsers say of bytes that nobody foresaw; the index is at fault whatever it is.
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError, UnsupportedRepoVersionError) as error:
        raise OddPage(f"sends what cannot be read ({type(error).__name__}: {str(error)[:120]})") from error
    if len(files) > MOST_FILES:
        raise OddPage(f"lists {len(files)} files, more than {MOST_FILES}")
    return files


def _check(file: DistributionPackage) -> None:
    """Refuse what would break a rule elsewhere: a date that no calendar reaches, a size that no disk has."""
    if len(file.filename) > LONGEST_FILENAME:
        raise OddPage(f"lists a file whose name has {len(file.filename)} letters")
    if file.size is not None and not 0 <= file.size <= LARGEST_FILE:
        raise OddPage(f"says that {file.filename[:80]!r} has a size that no file has")
    if file.upload_time is not None and file.upload_time.year not in YEARS:
        raise OddPage(f"says that {file.filename[:80]!r} came in the year {file.upload_time.year}")

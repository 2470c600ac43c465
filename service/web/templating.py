"""Templates and what every page is given."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from service import __version__
from service.bisection.words import counted
from service.printable import printable
from service.reports.plots import label_of
from service.reports.states import STATES
from service.storage.ulid import made_at
from service.web.assets import Assets

TEMPLATES = Path(__file__).parent / "templates"
SMALLEST_COMPRESSED = 2048


class Pages:
    def __init__(self, assets: Assets, dashboard: str = "") -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            finalize=shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(asset=assets.url, version=__version__, states=STATES, dashboard=dashboard)
        self._environment.filters.update(
            moment=moment,
            ago=ago,
            megabytes=megabytes,
            number=number,
            made_at=made_at,
            as_typed=AsTyped,
            counted=counted,
            measured_as=label_of,
            with_code=with_code,
        )

    def text(self, template: str, values: Mapping[str, Any]) -> str:
        return self._environment.get_template(template).render(values)

    def response(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Answer with a page, compressed if the browser accepts that."""
        body = self.text(
            template, {"here": request.url.path, "signed_in": "tfbisect_token" in request.cookies, **values}
        ).encode()
        headers = {"vary": "accept-encoding, cookie, authorization", "cache-control": "private, no-cache"}
        if len(body) >= SMALLEST_COMPRESSED and "gzip" in request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 4)
            headers["content-encoding"] = "gzip"
        return Response(body, status, headers, media_type="text/html; charset=utf-8")


class AsTyped(str):
    """Text of a form field, which is shown again unchanged."""

    __slots__ = ()


def shown(value: Any) -> Any:
    """Return the output of a template expression, with text made printable and HTML unchanged."""
    return printable(value, lines=True) if type(value) is str else value


def with_code(text: str) -> Markup:
    """Return text in which what stands between backticks is code."""
    parts = printable(text, lines=True).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def moment(when: datetime | None) -> Markup:
    """Return a time as an element that a script may convert to the reader's time zone."""
    if when is None:
        return Markup("")
    utc = when.astimezone(UTC)
    return Markup('<time datetime="{}" data-local>{} UTC</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M")
    )


def ago(when: datetime) -> Markup:
    """Return how long ago a time was, with the time itself as its title."""
    seconds = (datetime.now(UTC) - when).total_seconds()
    sizes = ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min"))
    words = next((f"{int(seconds // size)} {unit} ago" for size, unit in sizes if seconds >= size), "just now")
    iso = when.astimezone(UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, iso, words)


def megabytes(size: int) -> str:
    """Return a size as text."""
    return f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def number(value: float) -> str:
    """Return a number without meaningless digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

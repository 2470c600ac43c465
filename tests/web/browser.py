"""Debian's Chromium under Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without these Chromium asks its maker's hosts at every start.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def open_browser(playwright: Playwright) -> Iterator[Browser]:
    """Start a browser and close it in the end."""
    browser = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
    try:
        yield browser
    finally:
        browser.close()

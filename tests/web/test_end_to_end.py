"""From the form to the true verdict: a real service, a real browser, real containers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from service.errors import NoRunner
from service.execution.docker_engine import connect
from tests.web.browser import chromium, open_browser

pytestmark = [
    pytest.mark.containers,
    pytest.mark.index,
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium is installed"),
]
# Four releases, images included, on two cores.
PATIENCE_MILLISECONDS = 900_000


TRUTH = {"1.10.0": "drops", "1.11.0": "never-drops", "1.12.0": "never-drops", "1.13.1": "drops"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def served_for_real(tmp_path: Path) -> Iterator[str]:
    """`tfbisect serve` in a process of its own."""
    try:
        connect().close()
    except NoRunner as error:
        pytest.skip(error.message)
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = {"DATA_DIR": str(tmp_path), "RUNNER": "docker", "CONFIRMATIONS": "2"}
    with subprocess.Popen(
        [sys.executable, "-m", "service", "serve", "--port", str(port)],
        env={**os.environ, **{f"TFBISECT_{name}": value for name, value in settings.items()}},
    ) as process:
        try:
            answers(url)
            yield url
        finally:
            process.terminate()


def answers(url: str) -> None:
    """Wait until the service answers."""
    for _ in range(600):
        try:
            httpx.get(f"{url}/healthz").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the service did not come up")


def test_the_article_s_script_goes_in_by_the_form_and_its_true_verdict_comes_out(served_for_real: str) -> None:
    with sync_playwright() as playwright, open_browser(playwright) as browser:
        page = browser.new_page()
        page.goto(served_for_real)
        page.get_by_role("link", name="The 2018 Dropout bug").click()
        page.locator("#releases").fill(",".join(TRUTH))
        page.get_by_role("button", name="Bisect").click()
        page.wait_for_url(re.compile("/b/"))
        expect(page.locator(".verdict")).to_have_attribute("data-status", "done", timeout=PATIENCE_MILLISECONDS)
        expect(page.locator("h1")).to_contain_text("Dropout stops working in 1.11.0 and works again in 1.13.1")
        flags = page.locator(".flag").all_inner_texts()
        assert [flag.strip(" ▼▲\n") for flag in flags] == ["introduced in 1.11.0", "fixed in 1.13.1"]
        for release, outcome in TRUTH.items():
            expect(page.locator(f".cell[data-release='{release}'] .outcome")).to_have_text(outcome)
        page.locator(".cell[data-release='1.11.0']").click()
        expect(page.locator("#drawer")).to_contain_text("docker")

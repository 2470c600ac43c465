"""Pictures of every page at desktop and phone width: `python -m tests.web.screenshots docs/screenshots`.

Every verdict in them was given by real runs: before anything is shown, a service of its own answers what is asked here,
in containers. TFBISECT_DATA_DIR names a store that was filled so before, and TFBISECT_CACHE_DIR its packages.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.web.browser import open_browser

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SIZES = {"desktop": (1360, 900), "phone": (390, 844)}
DARK = frozenset({"form", "result", "result-wide", "running", "bisections", "compare"})
"""Pages whose pictures are taken in both schemes; the others in the light one, since the folder is read by people."""
TALLEST = 4200
"""Pixels; what is longer is cut."""
PATIENCE_SECONDS = 1800
SHORT = frozenset({"api", "releases"})
"""Long pages, of which the beginning says enough."""
RUNS_SHOWN = 5

TUTORIAL = (EXAMPLES / "dropout_tutorial.py").read_text(encoding="utf-8")
FIXED = (EXAMPLES / "dropout_tutorial_fixed.py").read_text(encoding="utf-8")
MISTAKEN = TUTORIAL.replace("x_train / 255", "x_trian / 255")
LEGACY = (EXAMPLES / "legacy_version.py").read_text(encoding="utf-8")
DROPOUT = {"snippet": TUTORIAL, "name": "dropout_tutorial.py", "probe": "dropout"}
ASKED: Mapping[str, dict[str, Any]] = {
    "fixed": {"snippet": FIXED, "name": "dropout_tutorial_fixed.py", "probe": "dropout", "releases": "1.9..1.14"},
    "failed": {"snippet": MISTAKEN, "name": "digits.py", "probe": "dropout", "releases": "1.9..1.14"},
    "variants": {**DROPOUT, "variants": ["input-shape"], "input_shape": [28, 28], "releases": "1.9..1.14"},
    "wide": {"snippet": LEGACY, "name": "legacy_version.py", "package": "packaging", "resolution": 2},
    "result": {"snippet": TUTORIAL, "name": "dropout_tutorial.py", "releases": "1.9..1.14"},
}
"""What is asked, by the name of its page, in the order in which lists have it from below."""
RUNNING = {"snippet": TUTORIAL.replace("512", "256"), "releases": "1.9..1.14", "fresh": True}


WATCHED = ("watch", "add", str(EXAMPLES / "dropout_tutorial.py"), "--releases", "1.9..1.14", "--probe", "dropout")


def command(*words: str, folder: str) -> subprocess.Popen[bytes]:
    """Start tfbisect with a store of its own, as a user starts it."""
    environment = {**os.environ, "TFBISECT_DATA_DIR": folder}
    return subprocess.Popen([sys.executable, "-m", "service", *words], env=environment, cwd=ROOT)


@contextmanager
def serving(folder: str) -> Iterator[httpx.Client]:
    """Run the service, coordinator included."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = command("serve", "--port", str(port), folder=folder)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            until(lambda: is_ready(client))
            yield client
    finally:
        process.terminate()
        process.wait()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that real runs take their time for."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise TimeoutError("it never came")
        time.sleep(0.3)


def answered(client: httpx.Client) -> dict[str, str]:
    """Ask everything, wait for the answers, and return the ids by name."""
    ids = {}
    for name, body in ASKED.items():
        ids[name] = stored(client, body) or submitted(client, body)
        until(lambda name=name: read(client, ids[name])["status"] in ("done", "failed"))  # type: ignore[misc]
        print(f"{name}: {(read(client, ids[name])['verdict'] or {}).get('summary')}", file=sys.stderr)
    return ids


def stored(client: httpx.Client, body: Mapping[str, Any]) -> str:
    """Return the id of a finished bisection that asked the same, from an earlier call; "" if there is none."""
    wanted = {name: value for name, value in body.items() if name != "snippet"}
    for each in client.get("/api/v1/bisections", params={"limit": 100}).json()["items"]:
        request = read(client, each["id"])["request"]
        source = client.get(f"/b/{each['id']}.py").text
        alike = source == body["snippet"] and all(request.get(name) == value for name, value in wanted.items())
        if alike and request["probe"] == body.get("probe", "behaviour") and each["status"] != "cancelled":
            return str(each["id"])
    return ""


def submitted(client: httpx.Client, body: Mapping[str, Any]) -> str:
    answer = client.post("/api/v1/bisections", json=dict(body))
    answer.raise_for_status()
    return str(answer.json()["id"])


def read(client: httpx.Client, bisection_id: str) -> dict[str, Any]:
    return dict(client.get(f"/api/v1/bisections/{bisection_id}").json())


def pages(ids: Mapping[str, str]) -> dict[str, str]:
    """Return every page by the name of its picture."""
    result = f"/b/{ids['result']}"
    return {
        "form": "/",
        "result": result,
        "result-wide": f"/b/{ids['wide']}",
        "failed": f"/b/{ids['failed']}",
        "variants": f"/b/{ids['variants']}",
        "release-of-a-result": f"{result}/r/1.11.0",
        "bisections": "/bisections",
        "watches": "/watches",
        "watch": "/w/dropout_tutorial",
        "releases": "/releases",
        "release": "/releases/tensorflow/1.11.0",
        "probes": "/probes",
        "probe": "/probes/dropout",
        "compare": f"/compare?left={ids['fixed']}&right={ids['variants']}",
        "api": "/docs",
        "sign-in": "/sign-in",
        "not-found": "/b/none",
    }


def shoot(browser: Browser, url: str, shown: Mapping[str, str], folder: Path) -> None:
    """Take the pictures of some pages, in both sizes and schemes."""
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            for name, path in shown.items():
                if scheme == "dark" and name not in DARK:
                    continue
                page.goto(url + path)
                settle(page, name)
                suffix = "" if scheme == "light" else "-dark"
                tall = min(TALLEST, int(page.evaluate("document.documentElement.scrollHeight")))
                page.set_viewport_size({"width": width, "height": tall if name not in SHORT else height})
                page.screenshot(path=folder / f"{name}-{size}{suffix}.png")
                page.set_viewport_size({"width": width, "height": height})
            context.close()


def settle(page: Page, name: str) -> None:
    """Bring a page into the state that is worth a picture."""
    if name == "form":
        page.locator("[data-example$='dropout_tutorial.py']").click()
        page.locator("#estimate b").first.wait_for()
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    elif name == "release-of-a-result":
        page.wait_for_load_state("networkidle")


def smaller(folder: Path) -> None:
    """Keep the folder modest: a picture of a page has few colours."""
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        store = os.environ.get("TFBISECT_DATA_DIR", made)
        command(*WATCHED, folder=store).wait()
        with sync_playwright() as playwright, open_browser(playwright) as browser, serving(store) as client:
            ids = answered(client)
            command("nightly", folder=store).wait()
            url = str(client.base_url)
            shoot(browser, url, pages(ids), folder)
            running = submitted(client, RUNNING)
            until(lambda: read(client, running)["progress"]["runs_done"] >= RUNS_SHOWN)
            shoot(browser, url, {"running": f"/b/{running}"}, folder)
            client.post(f"/api/v1/bisections/{running}/cancel")
    smaller(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Pictures of every page at desktop and phone width: `python -m tests.web.screenshots docs/screenshots`."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.version import Version
from playwright.sync_api import Browser, Page, sync_playwright

from service.bisection.outcomes import RunReport
from service.execution.runner import RunRequest
from service.nightly.nights import difference, difference_words
from service.nightly.watches import watch_from
from service.storage.store import Store
from service.storage.watch_records import NewWatchRun, RunStatus
from tests.web.browser import open_browser
from tests.web.conftest import EXAMPLES, Served, served
from tests.web.world import TUTORIAL, MadeUpRuns, World, catalog_rows, dropout_report

SIZES = {"desktop": (1360, 900), "phone": (390, 844)}
WEEKS, CHANGED_AT = 6, 20
WATCHED = {
    package: {"name": name, "snippet": TUTORIAL, "packages": [{"package": package}]}
    for name, package in (("dropout-tutorial", "tensorflow"), ("nightlies", "tf-nightly"))
}
NIGHTS: dict[tuple[str, int], RunStatus] = {
    ("tensorflow", 0): "first",
    ("tf-nightly", 0): "first",
    ("tensorflow", CHANGED_AT): "changed",
    **{("tf-nightly", night): "blind" for night in range(31, 36)},
}
NOISE = TUTORIAL.replace("tf.keras.layers.Dropout(0.2)", "tf.keras.layers.GaussianNoise(0.3)")


def eventful(request: RunRequest) -> RunReport | None:
    """Make the noise layer's history an eventful one, so that every tone is seen."""
    version = Version(request.target.release)
    if "epocs" in request.snippet:
        trail = (
            'Traceback (most recent call last):\n  File "<snippet>", line 14, in <module>\n'
            "    model.fit(x_train, y_train, epocs=5)\nTypeError: fit() got an unexpected keyword argument 'epocs'"
        )
        error = {"kind": "raised", "exception": "TypeError", "message": "fit() got an unexpected keyword argument"}
        return RunReport(ending="answered", result={**error, "line": 14, "traceback": trail}, runner="docker")
    if "GaussianNoise" not in request.snippet:
        return None
    if version in (Version("2.6.0"), Version("2.7.0")):
        return RunReport(ending="unprepared", reason="keras 2.7.0 does not install beside it (AlreadyExistsError)")
    if version < Version("1.8"):
        error = {"kind": "raised", "exception": "ValueError", "message": "the first layer must get an `input_shape`"}
        return RunReport(ending="answered", result=error, runner="docker", python="3.6.15", seconds={"total": 2.2})
    if version >= Version("2.16"):
        report = dropout_report(request)
        measured = dict((report.result or {})["measurements"])
        measured["evaluate_losses"] = [2.1, 2.4, 2.2, 2.3]
        return replace(report, result={"kind": "measured", "measurements": measured})
    return None


@contextmanager
def story() -> Iterator[tuple[Served, dict[str, str]]]:
    """A service in which some things have happened and one is happening."""
    runs = MadeUpRuns(report=eventful)
    with tempfile.TemporaryDirectory() as folder, served(World(Path(folder), runs)) as service:
        paths = {}
        fixed = (EXAMPLES / "dropout_tutorial_fixed.py").read_text()
        service.bisected(TUTORIAL.replace("epochs=5", "epochs=1"))
        service.bisected(fixed)
        paths["other"] = service.bisected(TUTORIAL, releases="1.8..2.2")["id"]
        paths["wide"] = service.bisected(NOISE, releases="1.4..", resolution=1)["id"]
        paths["result"] = service.bisected(TUTORIAL)["id"]
        paths["failed"] = service.bisected(TUTORIAL.replace("epochs=5", "epocs=5"))["id"]
        paths["variants"] = service.bisected(TUTORIAL, variants=["input-shape"], input_shape=[28, 28])["id"]
        before = service.bisected(TUTORIAL, releases="1.9..1.12")["id"]
        live_some_weeks(service.world.store, before, paths["result"])
        runs.gate.clear()
        paths["running"] = service.submit(TUTORIAL.replace("512", "256"), releases="1.9..1.15")["id"]
        worker = threading.Thread(target=service.world.work_off)
        worker.start()
        with half_way(runs):
            yield service, paths
        worker.join()


def live_some_weeks(store: Store, found_before: str, found_now: str) -> None:
    """Make two watches and their nights: quiet ones, a change, blind ones."""
    evening = datetime.now(UTC) - timedelta(days=WEEKS * 7)
    earlier, later = store.bisection(found_before), store.bisection(found_now)
    assert earlier.verdict
    assert later.verdict
    changed = difference(earlier.verdict, later.verdict, [row["version"] for row in catalog_rows()])
    watches = {
        package: Store(store._engine, lambda: evening).add_watch(watch_from(spec, origin="cli"))
        for package, spec in WATCHED.items()
    }
    for night in range(WEEKS * 7):
        that_night = Store(store._engine, lambda night=night: evening + timedelta(days=night))  # type: ignore[misc]
        one_pass = that_night.open_pass()
        for package, watch in watches.items():
            status = NIGHTS.get((package, night), "unchanged")
            run = NewWatchRun(watch.id, one_pass.id, package, status, {})
            if status == "blind":
                run = replace(run, message="2.23.0.dev20261025 gave no result (no wheel for Linux on x86-64)")
            else:
                at = later if night >= CHANGED_AT or package == "tf-nightly" else earlier
                run = replace(run, bisection_id=at.id, verdict=at.verdict)
            if status == "changed":
                run = replace(run, difference=asdict(changed), message=difference_words(changed))
            that_night.add_watch_run(run)
        that_night.finish_pass(one_pass.id, {})


@contextmanager
def half_way(runs: MadeUpRuns) -> Iterator[None]:
    """Let four runs through and hold the rest."""
    wanted = runs.calls + 4
    runs.gate.set()
    while runs.calls < wanted:
        threading.Event().wait(0.005)
    runs.gate.clear()
    try:
        yield
    finally:
        runs.gate.set()


def pages(paths: dict[str, str]) -> dict[str, str]:
    """Return every page by the name of its picture."""
    result = f"/b/{paths['result']}"
    return {
        "form": "/",
        "result": result,
        "result-wide": f"/b/{paths['wide']}",
        "running": f"/b/{paths['running']}",
        "failed": f"/b/{paths['failed']}",
        "variants": f"/b/{paths['variants']}",
        "release-of-a-result": f"{result}/r/1.11.0",
        "bisections": "/bisections",
        "watches": "/watches",
        "watch": "/w/dropout-tutorial",
        "releases": "/releases",
        "release": "/releases/tensorflow/1.11.0",
        "probes": "/probes",
        "probe": "/probes/dropout",
        "compare": f"/compare?left={paths['result']}&right={paths['other']}",
        "api": "/docs",
        "sign-in": "/sign-in",
        "not-found": "/b/none",
    }


def shoot(browser: Browser, service: Served, paths: dict[str, str], folder: Path) -> None:
    """Take all pictures."""
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            for name, path in pages(paths).items():
                if scheme == "dark" and name not in ("form", "result", "result-wide"):
                    continue
                page.goto(service.url + path)
                settle(page, name)
                suffix = "" if scheme == "light" else "-dark"
                page.screenshot(path=folder / f"{name}-{size}{suffix}.png", full_page=name not in ("api", "releases"))
            context.close()


def settle(page: Page, name: str) -> None:
    """Bring a page into the state that is worth a picture."""
    if name == "form":
        page.locator("[data-example]").first.click()
        page.locator("#releases").fill("1.9..1.14")
        page.locator("#estimate b").first.wait_for()
        page.evaluate("document.activeElement.blur()")
    elif name == "result" and page.viewport_size and page.viewport_size["width"] > 1000:
        page.locator(".cell[data-release='1.11.0']").click()
        page.locator("[data-record='1.11.0']").wait_for()


def main(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, open_browser(playwright) as browser, story() as (service, paths):
        shoot(browser, service, paths, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

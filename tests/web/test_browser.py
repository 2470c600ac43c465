"""The pages in a real Chromium."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, expect, sync_playwright

from service.bisection.outcomes import RunReport
from service.execution.runner import RunRequest
from tests.web.browser import chromium, open_browser
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, MadeUpRuns

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium is installed"),
]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
# Other tests and containers may share the cores.
expect.set_options(timeout=20_000)
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, open_browser(playwright) as opened:
        yield opened


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1280, "height": 900})
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that may not complain."""
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield opened
    assert [text for text in complaints if "422" not in text] == []


def write(page: Page, source: str) -> None:
    """Type into the editor."""
    page.locator(".cm-content").click()
    page.keyboard.insert_text(source)


def working(service: Served) -> threading.Thread:
    worker = threading.Thread(target=service.world.work_off)
    worker.start()
    return worker


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the page's own policy keeps Playwright from waiting for."""
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def draft_of(page: Page) -> str:
    return str(page.evaluate("localStorage.getItem('draft')"))


def faults(page: Page, *, scheme: str = "") -> list[str]:
    """Return what axe finds serious or critical, as rule and place."""
    page.evaluate(AXE)  # by the debugger: the page's own policy would not let a script in
    found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    return [f"{scheme}{each['id']}: {node['html'][:160]}" for each in serious for node in each["nodes"][:3]]


def test_the_script_of_the_article_goes_in_and_its_verdict_comes_out(service: Served, page: Page) -> None:
    page.goto(service.url)
    page.get_by_role("link", name="The 2018 Dropout bug").click()
    page.locator("#releases").fill("1.9..1.14")
    expect(page.locator("#estimate")).to_contain_text("runs")
    service.world.runs.gate.clear()
    worker = working(service)
    page.get_by_role("button", name="Bisect").click()
    page.wait_for_url(re.compile("/b/"))
    worker.join()
    worker = working(service)
    expect(page.locator(".state-running").first).to_be_visible()
    service.world.runs.gate.set()
    expect(page.locator("h1")).to_have_text("Dropout stops working in 1.11.0 and works again in 1.13.1", timeout=15000)
    expect(page.locator(".flag")).to_have_count(2)
    expect(page.locator(".cell[data-release='1.12.3']")).to_contain_text("never-drops")
    expect(page.locator(".cell[data-release='1.12.2']")).to_contain_text("inferred")
    assert "Dropout stops working in 1.11.0" in page.title()
    expect(page.locator(".delete")).to_be_visible()
    expect(page.locator(".verdict .status")).to_have_text("done")
    worker.join()
    page.go_back()
    expect(page.locator(".cm-content")).to_contain_text("digits.load_data()")


def test_a_running_bisection_is_cancelled_from_its_page(service: Served, page: Page) -> None:
    service.world.runs.gate.clear()
    bisection_id = service.submit(TUTORIAL)["id"]
    worker = working(service)
    page.goto(f"{service.url}/b/{bisection_id}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("h1")).to_contain_text("Cancelled", timeout=10000)
    worker.join()
    service.world.runs.gate.set()


def test_a_syntax_error_is_shown_at_its_line(service: Served, page: Page) -> None:
    page.goto(service.url)
    write(page, "import tensorflow as tf\n\nmodel = = 3\n")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#problem")).to_contain_text("line 3")
    expect(page.locator(".cm-lintRange-error")).to_have_text("model = = 3")


def test_a_file_that_is_no_utf8_is_refused_before_it_is_sent(service: Served, page: Page) -> None:
    page.goto(service.url)
    latin = "# größe\nx = 1\n".encode("latin-1")
    page.locator("[data-file]").set_input_files(FilePayload(name="model.py", mimeType="text/x-python", buffer=latin))
    expect(page.locator("[data-size]")).to_have_text("model.py is not UTF-8 text; save it as UTF-8.")
    assert page.locator("#snippet").input_value() == ""


def test_the_form_works_without_scripts(service: Served, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(service.url)
    page.locator("#snippet").fill(TUTORIAL)
    page.locator("#releases").fill("1.9..1.14")
    page.get_by_role("button", name="Bisect").click()
    assert "/b/" in page.url
    service.world.work_off()
    page.reload()
    expect(page.locator("h1")).to_have_text("Dropout stops working in 1.11.0 and works again in 1.13.1")
    page.locator(".cell[data-release='1.11.0']").click()
    assert page.url.endswith("/r/1.11.0")
    context.close()


def test_the_strip_chooses_a_range_with_two_presses(service: Served, page: Page) -> None:
    page.goto(service.url)
    page.get_by_role("button", name="1.13, ").click()
    page.get_by_role("button", name="1.9, ").click()
    assert page.locator("#releases").input_value() == "1.9..1.13"
    expect(page.locator(".pick [aria-pressed=true]")).to_have_count(5)


def test_nobody_needs_to_choose_a_probe_and_a_chosen_one_brings_its_own_fields(service: Served, page: Page) -> None:
    page.goto(service.url)
    pattern = page.get_by_label("Pattern", exact=True)
    expect(pattern).to_be_hidden()
    expect(page.locator("#probe")).to_be_hidden()
    page.get_by_role("link", name="A custom script").click()
    expect(page.locator("#probe")).to_have_value("behaviour")
    page.get_by_text("Advanced").click()
    page.locator("#probe").select_option("script")
    pattern.fill("rate=.r")
    page.locator("#releases").fill("1.13..1.14")
    page.get_by_role("button", name="Bisect").click()
    page.wait_for_url(re.compile("/b/"))
    request = service.world.store.bisection(page.url.rpartition("/")[2]).request
    assert (request["probe"], request["parameters"]) == ("script", {"pattern": "rate=.r"})
    page.goto(service.url)
    page.get_by_role("link", name="In PyTorch").click()
    expect(page.locator("#package")).to_be_visible()
    expect(page.locator("#package")).to_have_value("torch")
    expect(pattern).to_be_hidden()


def test_a_long_outcome_does_not_widen_a_phones_page(service_with: Callable[..., Served], browser: Browser) -> None:
    def report(request: RunRequest) -> RunReport:
        name = "_".join(["learning_rate"] * 8) + request.target.release[:3]
        measured = {"exit_code": 0, "parameters": {}, "reported": [["settings", name]], "output": "", "raised": None}
        return RunReport(ending="answered", result={"kind": "measured", "measurements": measured})

    service = service_with(MadeUpRuns(report=report))
    done = service.bisected("pass\n", probe="script")
    context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{service.url}/b/{done['id']}")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    context.close()


def test_a_draft_survives_a_closed_tab_and_ends_with_its_submission(service: Served, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(service.url)
    write(page, TUTORIAL)
    page.locator("#releases").fill("1.9")
    until(lambda: "Dropout" in draft_of(page) and '"1.9"' in draft_of(page))
    page.close()
    page = context.new_page()
    page.goto(service.url)
    expect(page.locator(".cm-content")).to_contain_text("Dropout")
    assert page.locator("#releases").input_value() == "1.9"
    page.get_by_role("button", name="Bisect").click()
    page.wait_for_url(re.compile("/b/"))
    page.goto(service.url)
    assert page.locator("#snippet").input_value() == ""


def test_a_release_opens_in_a_drawer_that_the_keyboard_walks_and_closes(service: Served, page: Page) -> None:
    page.goto(f"{service.url}/b/{service.bisected(TUTORIAL)['id']}")
    page.locator(".cell[data-release='1.11.0']").focus()
    page.keyboard.press("Enter")
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("tensorflow 1.11.0")
    expect(drawer).to_contain_text("Epoch 1/5")
    page.keyboard.press("ArrowRight")
    expect(drawer).to_contain_text("tensorflow 1.12.0")
    expect(page.locator(".cell[aria-current=true]")).to_contain_text("1.12.0")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    assert page.evaluate("document.activeElement.dataset.release") == "1.12.0"


def test_the_plot_shows_the_measurements_that_are_chosen(service: Served, page: Page) -> None:
    page.goto(f"{service.url}/b/{service.bisected(TUTORIAL)['id']}")
    expect(page.locator("#measurements svg")).to_have_attribute(
        "aria-label", re.compile("loss in training, loss in evaluation")
    )
    page.get_by_label("loss at a rate near 1").click()
    expect(page.locator("#measurements svg")).to_have_attribute("aria-label", re.compile("loss at a rate near 1"))


def test_link_report_and_commands_are_copied(service: Served, context: BrowserContext, page: Page) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    bisection_id = service.bisected(TUTORIAL)["id"]
    page.goto(f"{service.url}/b/{bisection_id}")
    page.get_by_text("Share", exact=True).click()
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".toast")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{service.url}/b/{bisection_id}"
    page.get_by_role("button", name="Copy report").click()
    until(lambda: page.evaluate("navigator.clipboard.readText()").startswith("### Dropout stops working in 1.11.0"))


def test_the_theme_is_switched_and_remembered(service: Served, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(service.url)
    page.get_by_role("button", name=re.compile("light and dark")).click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_every_way_of_the_navigation_is_in_one_line_on_a_phone(service: Served, browser: Browser) -> None:
    context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{service.url}/watches")
    boxes = [link.bounding_box() for link in page.get_by_role("navigation", name="Main").get_by_role("link").all()]
    boxes += [page.get_by_role("button", name=re.compile("light and dark")).bounding_box()]
    assert len(boxes) == 7
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"] for box in boxes)
    assert len({box["y"] for box in boxes[:-1] if box}) == 1
    context.close()


PAGES = ["/", "/b/{id}", "/b/{id}/r/1.11.0", "/bisections", "/watches", "/releases", "/probes", "/docs"]


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_wider_than_a_phone(service: Served, browser: Browser, path: str) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(service.url + path.format(id=bisection_id))
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_on_any_page(service_with: Callable[..., Served], page: Page, scheme: Any) -> None:
    service = service_with(MadeUpRuns())
    done = service.bisected(TUTORIAL)["id"]
    waiting = service.submit(TUTORIAL.replace("512", "64"))["id"]
    page.emulate_media(color_scheme=scheme)
    paths = ["/", f"/b/{done}", f"/b/{waiting}", f"/b/{done}/r/1.11.0", "/bisections", "/releases", "/probes"]
    paths += [
        "/probes/dropout",
        "/releases/tensorflow/1.11.0",
        f"/compare?left={done}&right={done}",
        "/docs",
        "/sign-in",
    ]
    found: list[str] = []
    for path in paths:
        page.goto(service.url + path)
        found += [f"{path} {fault}" for fault in faults(page)]
    page.goto(f"{service.url}/b/{done}")
    page.locator(".cell[data-release='1.11.0']").click()
    page.locator("[data-record]").wait_for()
    found += [f"drawer {fault}" for fault in faults(page)]
    assert found == []


def test_ten_thousand_lines_of_output_do_not_stop_the_page(service_with: Callable[..., Served], page: Page) -> None:
    service = service_with(MadeUpRuns(output="\n".join(f"line {n} of a chatty snippet" for n in range(10_000))))
    page.goto(f"{service.url}/b/{service.bisected(TUTORIAL)['id']}")
    page.locator(".cell[data-release='1.11.0']").click()
    output = page.locator("#drawer .output").first
    expect(output).to_contain_text("line 9999 of")
    assert page.evaluate("document.querySelector('#drawer .output').clientHeight") < 400


def test_a_snippet_that_prints_a_script_runs_nothing_here(service_with: Callable[..., Served], page: Page) -> None:
    hostile = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\n"
    service = service_with(MadeUpRuns(output=hostile))
    page.goto(f"{service.url}/b/{service.bisected(TUTORIAL + '# ' + hostile)['id']}")
    page.locator(".cell[data-release='1.11.0']").click()
    expect(page.locator("#drawer .output").first).to_contain_text("<script>window.hacked")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#snippet script, #drawer script").count() == 0


def test_an_event_stream_that_breaks_is_taken_up_again(service: Served, context: BrowserContext) -> None:
    page = context.new_page()  # one that may complain: being offline is what it is about
    service.world.runs.gate.clear()
    bisection_id = service.submit(TUTORIAL)["id"]
    page.goto(f"{service.url}/b/{bisection_id}")
    worker = working(service)
    expect(page.locator(".state-running").first).to_be_visible(timeout=10000)
    context.set_offline(True)
    service.world.runs.gate.set()
    worker.join()
    context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator(".verdict")).to_have_attribute("data-status", "done", timeout=15000)


def test_what_is_stored_of_a_page_is_what_its_api_says(service: Served, page: Page) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    with page.expect_download() as download:
        page.goto(f"{service.url}/b/{bisection_id}")
        page.get_by_text("Share", exact=True).click()
        page.get_by_role("link", name="JSON", exact=True).click()
    text = Path(download.value.path()).read_text()
    assert json.loads(text) == service.client.get(f"/api/v1/bisections/{bisection_id}").json()


DROP = """(files) => {
  const dropped = new DataTransfer();
  for (const [name, text] of files) dropped.items.add(new File([text], name));
  const event = new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true });
  document.getElementById("ask").dispatchEvent(event);
}"""


def test_dropped_files_are_the_snippet_and_what_lies_beside_it(service: Served, page: Page) -> None:
    page.goto(service.url)
    expect(page.locator(".cm-content")).to_be_visible()
    page.evaluate(DROP, [["train.py", TUTORIAL], ["own.py", "x = 1\n"], ["data.csv", "1,2\n"]])
    expect(page.locator("[data-files-listed]")).to_contain_text("2 files, 0.0 KiB: own.py, data.csv")
    expect(page.locator(".cm-content")).to_contain_text("tf.keras.models.Sequential")
    page.locator("#releases").fill("1.9..1.11")
    page.locator("#ask button[type=submit]").click()
    page.wait_for_url("**/b/*")
    request = service.client.get(f"/api/v1/bisections/{page.url.split('/b/')[1].split('?')[0]}").json()["request"]
    assert request["project"].startswith("sha256:")

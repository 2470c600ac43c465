"""What is taken away: Markdown, CSV, badge, card, links, plots."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shlex
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from service.bisection.companions import between
from service.bisection.outcomes import RunReport
from service.bisection.verdict import VersionDifference
from service.cli.terminal import verdict_lines
from service.reports.links import compare_url, notes_url
from service.reports.plots import draw, numbers_in
from service.reports.timeline import Knowledge, timeline_of
from service.storage.tables import bisections
from service.web.pages.badges import badge, badge_words
from service.web.pages.share_card import fitted, letters, share_card
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, MadeUpRuns, dropout_report


def test_the_report_names_changes_links_and_commands(service: Served) -> None:
    done = service.bisected(TUTORIAL)
    text = service.client.get(f"/b/{done['id']}.md").text
    assert text.startswith("### Dropout stops working in 1.11.0 and works again in 1.13.1")
    assert "https://github.com/tensorflow/tensorflow/compare/v1.10.0...v1.11.0" in text
    assert f"{service.url}/b/{done['id']}.py | tfbisect run -" in text
    assert "| 1.11.0 | `never-drops` | ● measured | **introduced in 1.11.0** |" in text


def test_a_report_with_a_release_that_was_not_run_is_whole_in_every_form(service: Served) -> None:
    done = service.bisected(TUTORIAL, branches="none")
    left = done["verdict"]["not_run"]
    assert left
    page, report = (service.client.get(f"/b/{done['id']}{end}") for end in ("", ".md"))
    assert page.status_code == report.status_code == 200
    for release in left:
        assert f"{release} |  | · not run |" in report.text
        assert f'title="{release}, not run"' in page.text
    service.world.settings = service.world.settings.model_copy(update={"public_url": service.url})
    assert service.world.markdown(done["id"]) == report.text


def test_a_report_from_the_command_line_links_to_no_address_of_this_machine(service: Served) -> None:
    done = service.bisected(TUTORIAL)
    report = service.world.markdown(done["id"])
    assert "127.0.0.1" not in report
    assert "](/" not in report
    assert "tfbisect run snippet.py --package tensorflow --releases 1.11.0" in report
    assert "Save the snippet below as snippet.py" in report
    assert "tensorflow-1.11.0.txt:\n\n```text\ntensorflow==1.11.0\n```" in report


CAUSE = {"axis": "release", "package": None, "named": [], "differs": [{"name": "abc", "before": "1", "after": "2"}]}


def test_every_form_has_confidence_packages_causes_and_details(service: Served) -> None:
    """One table of what a triager needs, and every form has all of it."""
    done = service.bisected(TUTORIAL, releases="1.10..1.11", why=False)
    [change] = done["verdict"]["changes"]
    assert change["confidence"] > 0.9
    assert {"name": "numpy", "before": "1.14.5", "after": "1.15.4"} in change["environment"]
    for form in forms_of(service, done["id"]):
        assert re.search(r"Confidence[^.]* 9\d(\.\d)? %", form)
        assert re.search(r"numpy\D+1\.14\.5\D+1\.15\.4", form)
    with service.world.store._engine.begin() as connection:
        detail = [{"outcome": "raises:X", "release": "1.11.0", "detail": "Y: because"}]
        told = {**done["verdict"], "details": detail, "changes": [{**change, "cause": CAUSE}]}
        connection.execute(bisections.update().values(verdict=told))
    for form in forms_of(service, done["id"]):
        assert "Y: because" in form
        assert "the release itself; not abc 1 to 2" in form


def forms_of(service: Served, name: str) -> list[str]:
    """Return a bisection as page, as Markdown and on a terminal."""
    web = [service.client.get(f"/b/{name}{end}").text for end in ("", ".md")]
    verdict = service.world.store.bisection(name).verdict or {}
    return [*map(html.unescape, web), "\n".join(line.plain for line in verdict_lines(verdict, frozenset({"drops"})))]


def test_the_block_names_packages_commands_and_what_is_to_be_seen(service: Served) -> None:
    done = service.bisected(TUTORIAL, releases="1.10..1.11")
    report = service.client.get(f"/b/{done['id']}.md").text
    uv = "uv run --no-project --isolated --python 3.6 --with tensorflow==1.11.0"
    # uv downloads no Python 3.6.
    or_uv = (
        f"#   or, where Python 3.6 is installed: {uv} --with-requirements tensorflow-1.11.0.txt -- python snippet.py"
    )
    docker = 'docker run --rm -v "$PWD":/work -w /work python:3.6 sh -c '
    assert re.search(rf"^{re.escape(docker)}.*\n{re.escape(or_uv)}$", report, re.MULTILINE)
    assert "# expected: a plain run does not show it" in report
    [(address, name)] = re.findall(r"curl -sSf (\S+/locks/1\.11\.0\.txt) -o (\S+)", report)
    answer = service.client.get(address)
    assert name in answer.headers["content-disposition"]
    assert "numpy==1.15.4\n" in answer.text
    assert service.client.get(f"/b/{done['id']}/locks/9.9.txt").status_code == 404


def test_an_issue_has_its_text_filled_in_and_its_address_is_bounded(service: Served) -> None:
    done = service.bisected(f"{TUTORIAL}\n" + f"# {'ünd noch mehr ' * 30}\n" * 100)
    page = html.unescape(service.client.get(f"/b/{done['id']}").text)
    [address] = re.findall(r'href="(https://github.com/tensorflow/tensorflow/issues/new[^"]*)"', page)
    assert len(address) < 8000
    body = parse_qs(urlsplit(address).query)["body"][0]
    assert "uv run --no-project" in body
    assert body.endswith("(cut here: paste the whole report from the link above)")
    assert "127.0.0.1" not in body


def test_the_evidence_is_whole_and_its_names_are_harmless(service: Served) -> None:
    done = service.bisected(TUTORIAL, releases="1.10..1.11")
    answer = service.client.get(f"/b/{done['id']}.zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert all(re.fullmatch(r"evidence/([\w.+-]+/)*[\w.+-]+", name) and ".." not in name for name in names)
        bundle = json.loads(archive.read("evidence/bundle.json"))
        asked = archive.read("evidence/run/input.jsonl").splitlines()
    assert {"snippet.py", "report.md", "verdict.json", "reproduce.py"} <= {name.split("/", 1)[1] for name in names}
    assert [side["expected"] for side in bundle["sides"]] == [{"outcome": "drops"}, {"outcome": "never-drops"}]
    assert json.loads(asked[-1])["snippet"] == TUTORIAL
    assert b"".join(service.world.evidence(done["id"])) != b""
    queued = service.submit(TUTORIAL, releases="1.9..1.10", fresh=True)["id"]
    assert service.client.get(f"/b/{queued}.zip").status_code == 404


def test_the_table_has_a_row_per_run_and_the_numbers_that_were_measured(service: Served) -> None:
    done = service.bisected(TUTORIAL)
    rows = list(csv.DictReader(io.StringIO(service.client.get(f"/b/{done['id']}.csv").text)))
    assert len(rows) == len(done["observations"])
    broken = next(row for row in rows if row["release"] == "1.11.0")
    assert broken["outcome"] == "never-drops"
    assert len(set(broken["train_losses"].split())) == 1


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        ("queued", [], "running"),
        ("done", [], "no change"),
        ("failed", [], "no verdict"),
        ("cancelled", [], "cancelled"),
        ("done", ["introduced 1.11.0", "fixed 1.13.1"], "introduced 1.11.0, fixed 1.13.1"),
        ("done", [f"changed {n}.0" for n in range(5)], "changed 0.0, changed 1.0, changed 2.0 …"),
    ],
)
def test_a_badge_says_what_was_found(status: str, changes: list[str], words: str) -> None:
    found = [dict(zip(("kind", "after"), each.split(), strict=True), line="mainline") for each in changes]
    assert badge_words(status, {"changes": found})[0] == words


def test_pictures_are_well_formed_whatever_stands_in_them(service: Served) -> None:
    ET.fromstring(badge("a<b>&\"'", "x]]>", "#fff"))
    done = service.bisected(TUTORIAL)
    answer = service.client.get(f"/b/{done['id']}.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    ET.fromstring(answer.text)


def test_the_picture_of_a_shared_link_is_a_png_that_other_sites_may_show(service: Served) -> None:
    answer = service.client.get(f"/b/{service.bisected(TUTORIAL)['id']}/card.png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert Image.open(io.BytesIO(answer.content)).size == (1200, 630)


@pytest.mark.parametrize("title", ["Dropout stops working in 1.11.0", "word " * 200, "x" * 400, "\u4e2d" * 90, ""])
def test_no_letter_of_a_shared_picture_is_outside_it(title: str) -> None:
    size, lines = fitted(title)
    assert all(letters(size).getlength(line) <= 1200 - 2 * 72 for line in lines)
    assert len(lines) * size * 1.2 <= 300
    picture = Image.open(io.BytesIO(share_card(title, title, timeline_of({}, Knowledge()))))
    margin = picture.crop((1200 - 60, 0, 1200, 630))
    assert margin.getcolors() == [(60 * 630, (0xF5, 0xF5, 0xF2))]


def test_environments_are_compared_without_the_release_itself() -> None:
    olds = {"tensorflow": "1.10.0", "NumPy": "1.14", "six": "1", "gone": "2"}
    news = {"tensorflow": "1.11.0", "numpy": "1.15", "six": "1", "came": "3"}
    old = RunReport("answered", python="3.6.15", packages=olds)
    new = RunReport("answered", python="3.8.1", packages=news)
    found = between(old, new, "TensorFlow")
    assert found.packages == (
        VersionDifference("came", "", "3"),
        VersionDifference("gone", "2", ""),
        VersionDifference("numpy", "1.14", "1.15"),
    )
    assert found.same == 1
    assert found.python == VersionDifference("python", "3.6.15", "3.8.1")


def test_links_lead_to_the_project_or_to_the_index() -> None:
    assert notes_url("torch", "2.1.0") == "https://github.com/pytorch/pytorch/releases/tag/v2.1.0"
    assert notes_url("unknown", "1.0").endswith("/project/unknown/1.0/")
    assert compare_url("keras", "3.0.0", "3.1.0") == "https://github.com/keras-team/keras/compare/v3.0.0...v3.1.0"
    assert compare_url("unknown", "1", "2") is None


def test_the_command_on_a_page_reads_the_source_that_was_run(service: Served) -> None:
    own = TUTORIAL.replace("x_train", "images")
    done = service.bisected(
        TUTORIAL, variants=["input-shape"], variant_snippets={"renamed": own}, releases="1.10..1.11"
    )
    for variant, run in (("", TUTORIAL), ("input-shape", TUTORIAL), ("renamed", own)):
        page = service.client.get(f"/b/{done['id']}/r/1.11.0", params={"variant": variant}).text
        [command] = re.findall(r"<code>(curl .*?)</code>", page)
        downloading, _, running = html.unescape(command).partition(" | ")
        assert service.client.get(shlex.split(downloading)[-1]).text == run
        assert ("--variant input-shape" in running) == (variant == "input-shape")
    assert service.client.get(f"/b/{done['id']}.py", params={"variant": "nosuch"}).status_code == 404


def test_numbers_are_found_in_measurements_however_odd() -> None:
    odd = {
        "one": 1,
        "list": [1.5, 2, "x", None, float("nan"), float("inf"), 10**400],
        "deep": {"er": {"est": 3}},
        "no": True,
        "text": "4",
        "empty": [],
        "long": list(range(3000)),
    }
    found = numbers_in(odd)
    assert found["one"] == (1.0,)
    assert found["list"] == (1.5, 2.0)
    assert found["deep.er.est"] == (3.0,)
    assert set(found) == {"one", "list", "deep.er.est", "long"}
    assert len(found["long"]) <= 60


def test_the_share_that_a_layer_dropped_and_what_a_script_reported_are_measurements_too() -> None:
    measured = {
        "shares": [
            {"layer": "dropout", "measures": "share", "losses": [0.21, 0.19], "declared": 0.2},
            {"layer": "noise", "measures": "variance", "losses": [0.5]},
            "odd",
        ],
        "reported": [["loss", 0.5], ["name", "sgd"], ["broken"], 3],
        "exit_code": 0,
        "parameters": {"tolerance": 1e-5},
    }
    assert numbers_in(measured) == {"share dropped by dropout": (0.21, 0.19), "reported loss": (0.5,)}
    assert numbers_in({"shares": "odd", "reported": {"a": 1}}) == {"reported.a": (1.0,)}


@pytest.mark.parametrize("values", [[], [0.0], [5.0, 5.0], [-1e-12, 1e-12], [1e290, -1e290], [1e-320, 2e-320]])
def test_any_numbers_can_be_drawn(values: list[float]) -> None:
    plot = draw(["1.0"], {"loss": {"1.0": values}}, {}, [])
    assert all(plot.top <= mark.y <= plot.bottom for mark in plot.marks)


def test_what_a_container_says_is_shown_as_text(service_with: Callable[..., Served]) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"

    def report(request: object) -> RunReport:
        made_up = dropout_report(request, output=hostile * 3)  # type: ignore[arg-type]
        return replace(made_up, packages={hostile: hostile}, image=hostile, python=hostile, device=hostile)

    service = service_with(MadeUpRuns(report=report))
    done = service.bisected(TUTORIAL + f"# {hostile}\n")
    for path in ("", "/live", "/r/1.11.0", "/plot", ".md"):
        page = service.client.get(f"/b/{done['id']}{path}").text
        assert "<script>alert" not in page.replace(f"# {hostile}", "")
        assert "<img src=x" not in page.replace(f"# {hostile}", "")

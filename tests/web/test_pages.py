"""The pages as a browser without scripts gets them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from service.bisection.outcomes import RunReport
from service.reports.dependencies import Surroundings
from service.web.pages.results import building
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, MadeUpRuns

FORM = {"snippet": TUTORIAL, "releases": "1.9..1.14", "package": "tensorflow", "hardware": "cpu"}


def test_the_form_is_submitted_without_scripts(service: Served) -> None:
    answer = service.client.post("/", data=FORM)
    assert answer.status_code == 303
    page = service.client.get(answer.headers["location"])
    assert page.status_code == 200
    assert "Queued" in page.text
    service.world.work_off()
    page = service.client.get(answer.headers["location"])
    assert "<h1>Dropout stops working in 1.11.0 and works again in 1.13.1</h1>" in page.text
    assert "keras-applications" in page.text


def test_a_file_may_be_chosen_in_place_of_typing(service: Served) -> None:
    answer = service.client.post(
        "/", data={**FORM, "snippet": ""}, files={"file": ("model.py", TUTORIAL.encode(), "text/x-python")}
    )
    assert answer.status_code == 303
    assert service.client.get(answer.headers["location"] + ".py").text == TUTORIAL


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"snippet": "x = (\n"}, 'data-line="1"'),
        ({"releases": "2.0..1.9"}, "swap the ends"),
        ({"resolution": "many"}, "whole number"),
        ({"input_shape": "28,x"}, "whole number"),
        ({"probe": "script", "parameters.script.pattern": "loss ("}, "must be a regular expression"),
        ({"probe": "script", "parameters.script.tolerance": "little"}, "must be a finite number that is not negative"),
        ({"probe": "script", "parameters.script.expect": "0.3"}, "must be an object of at most 100 names and values"),
        ({"probe": "nix"}, "there is no probe"),
    ],
)
def test_a_mistake_shows_the_form_again_with_what_was_typed(service: Served, typed: dict[str, str], said: str) -> None:
    answer = service.client.post("/", data={**FORM, **typed})
    assert answer.status_code == 422
    assert said in answer.text
    assert 'aria-invalid="true"' in answer.text
    for value in set(typed.values()) - {"nix"}:
        assert value.replace('"', "&#34;").strip() in answer.text


def test_all_fields_of_the_form_arrive(service: Served) -> None:
    more = {
        "input_shape": "(28, 28)",
        "resolution": "2",
        "branches": "all",
        "image_source": "built",
        "with": "pandas[excel,html]>=1.4,<2, polars",
        "repeats": "3",
        "timeout_seconds": "60",
        "fresh": "1",
        "complete": "1",
    }
    location = service.client.post("/", data={**FORM, **more}).headers["location"]
    request = service.world.store.bisection(location.rpartition("/")[2]).request
    assert request["input_shape"] == [28, 28]
    assert (request["resolution"], request["branches"], request["repeats"]) == (2, "all", 3)
    assert request["image_source"] == "built"
    assert request["with"] == ["pandas[excel,html]>=1.4,<2", "polars"]
    assert (request["fresh"], request["complete"], request["timeout_seconds"]) == (True, True, 60.0)
    again = service.client.get(f"/?like={location.rpartition('/')[2]}").text
    assert 'value="28,28"' in again
    assert 'value="pandas[excel,html]&gt;=1.4,&lt;2,polars"' in again
    assert "tf.keras.layers.Dropout(0.2)" in again


def request_of(service: Served, typed: dict[str, str]) -> Any:
    location = service.client.post("/", data={**FORM, **typed}).headers["location"]
    return service.world.store.bisection(location.rpartition("/")[2]).request


def test_the_parameters_of_the_chosen_probe_arrive_and_are_shown_again(service: Served) -> None:
    typed = {
        "probe": "script",
        "parameters.script.judge_by": "output",
        "parameters.script.pattern": r"loss = 0\.\d+",
        "parameters.script.expect": "loss = 0.3\r\nname = sgd\r\n",
        "parameters.script.tolerance": "1e-3",
    }
    request = request_of(service, typed)
    assert request["parameters"] == {
        "judge_by": "output",
        "pattern": r"loss = 0\.\d+",
        "expect": {"loss": 0.3, "name": "sgd"},
        "tolerance": 0.001,
    }
    again = service.client.get(f"/?like={service.client.get('/api/v1/bisections').json()['items'][0]['id']}").text
    assert 'value="loss = 0\\.\\d+"' in again
    assert "loss = 0.3\nname = &#34;sgd&#34;" in again
    assert 'value="0.001"' in again


def test_parameters_of_another_probe_than_the_chosen_one_are_left_alone(service: Served) -> None:
    assert request_of(service, {"parameters.script.pattern": "loss"})["parameters"] == {}


def test_the_form_has_a_field_for_every_parameter_of_every_probe(service: Served) -> None:
    page = service.client.get("/").text
    for probe in service.world.probes.values():
        for name in probe.parameters.keys() - {"input_shape", "whole"}:
            assert f'name="parameters.{probe.name}.{name}"' in page


def test_what_is_folded_by_default_is_unfolded_where_it_is_used_or_wrong(service: Served) -> None:
    def is_open(page: str) -> bool:
        return "<details open>" in page.partition("<summary>Advanced")[0]

    page = service.client.get("/").text
    assert not is_open(page)
    assert '<option value="behaviour" selected' in page
    assert not is_open(service.client.post("/", data={**FORM, "snippet": "x = ("}).text)
    assert is_open(service.client.post("/", data={**FORM, "resolution": "many"}).text)
    assert is_open(service.client.post("/", data={**FORM, "snippet": "x = (", "probe": "script"}).text)
    found = service.bisected(TUTORIAL)["id"]
    assert is_open(service.client.get(f"/?like={found}").text)


def test_a_variant_has_its_row_its_words_and_its_own_releases(service: Served) -> None:
    done = service.bisected(TUTORIAL, variants=["input-shape"], input_shape=[28, 28])
    page = service.client.get(f"/b/{done['id']}").text
    assert "With the variant input-shape there is no change" in page
    assert "With the variant input-shape there is no change" in service.client.get(f"/b/{done['id']}.md").text
    own = service.client.get(f"/b/{done['id']}/r/1.11.0").text
    variant = service.client.get(f"/b/{done['id']}/r/1.11.0?variant=input-shape").text
    heading = re.compile("<h2>.*?</h2>", re.DOTALL)
    assert "never-drops" in heading.findall(own)[0]
    assert "never-drops" not in heading.findall(variant)[0]
    assert "variant input-shape" in heading.findall(variant)[0]
    assert "--variant input-shape" in variant
    assert f'href="/b/{done["id"]}/r/1.12.0?variant=input-shape"' in variant


def test_a_list_shows_what_a_running_bisection_has_found_so_far(service_with: Callable[..., Served]) -> None:
    runs = MadeUpRuns()
    service = service_with(runs)
    runs.gate.clear()
    service.submit(TUTORIAL)
    worker = threading.Thread(target=service.world.work_off)
    worker.start()
    strip = re.compile(r'<div class="strip".*?</div>', re.DOTALL)

    def shown() -> str:
        return "".join(strip.findall(service.client.get("/bisections").text))

    while "state-running" not in shown():
        time.sleep(0.05)
    runs.gate.set()
    worker.join()
    assert shown().count("state-measured") >= 6


def broken(_request: object) -> RunReport:
    """A run of a snippet that breaks off in its second line."""
    trail = 'Traceback (most recent call last):\n  File "snippet.py", line 3\nNameError: name <b>tff</b> is not defined'
    raised = {"kind": "raised", "exception": "NameError", "message": "tff", "line": 3, "traceback": trail}
    return RunReport(ending="answered", result=raised, runner="docker", python="3.6.15")


def test_a_snippet_that_breaks_off_everywhere_is_shown_with_its_traceback_and_its_line(
    service_with: Callable[..., Served],
) -> None:
    service = service_with(MadeUpRuns(report=broken))
    done = service.bisected(TUTORIAL)
    assert done["status"] == "failed"
    page = service.client.get(f"/b/{done['id']}").text
    assert "NameError: name &lt;b&gt;tff&lt;/b&gt; is not defined" in page
    assert '<a href="#line-3">Line 3 of the snippet</a>' in page
    assert '<span class="row marked" id="line-3">' in page
    assert page.count("row marked") == 1
    report = service.client.get(f"/b/{done['id']}.md").text
    assert "name <b>tff</b> is not defined\n```" in report


def test_the_estimate_says_runs_time_and_images(service: Served) -> None:
    text = re.sub("<[^>]+>", "", service.client.post("/estimate", data=FORM).text)
    assert re.search(r"About \d+ to \d+ runs, .*, at most \d+ images to build, \d+\.\d GB on disk. 10 releases", text)
    assert "swap" in service.client.post("/estimate", data={**FORM, "releases": "2..1"}).text


def test_examples_are_offered_and_nothing_else_of_the_disk(service: Served) -> None:
    assert "The 2018 Dropout bug" in service.client.get("/").text
    assert "Dropout" in service.client.get("/examples/dropout_tutorial.py").text
    for name in ("..%2FREADME.md", "none.py", "%2e%2e%2fpyproject.toml"):
        assert service.client.get(f"/examples/{name}").status_code == 404


def test_a_running_bisection_shows_its_progress_and_can_be_cancelled(service_with: Callable[..., Served]) -> None:
    service = service_with(MadeUpRuns())
    bisection_id = service.submit(TUTORIAL)["id"]
    page = service.client.get(f"/b/{bisection_id}").text
    assert "<b>Queued</b>, next in line" in page
    assert f'action="/b/{bisection_id}/cancel"' in page
    assert service.client.post(f"/b/{bisection_id}/cancel").status_code == 303
    assert "Cancelled" in service.client.get(f"/b/{bisection_id}").text


def test_a_release_has_a_page_of_its_own_and_a_drawer(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    path = f"/b/{bisection_id}/r/1.11.0"
    page, drawer = service.client.get(path).text, service.client.get(path, headers={"hx-request": "true"}).text
    assert "<html" in page
    assert "<html" not in drawer
    for text in (page, drawer):
        assert "never-drops" in text
        assert "Epoch 1/5" in text
        assert "tfbisect run - --package tensorflow --releases 1.11.0" in text
    assert service.client.get(f"/b/{bisection_id}/r/9.9.9").status_code == 404


def test_a_release_lists_all_changes_that_land_on_it(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    assert f"/b/{bisection_id}" in service.client.get("/releases/tensorflow/1.11.0").text
    assert "No stored bisection" in service.client.get("/releases/tensorflow/1.12.0").text


def test_similar_bisections_are_offered(service: Served) -> None:
    one = service.bisected(TUTORIAL)["id"]
    other = service.bisected(TUTORIAL.replace("512", "128"))["id"]
    assert f"/b/{one}" in service.client.get(f"/b/{other}").text.split("Bisections with the same changes")[1]


def test_a_search_finds_by_word_outcome_and_release(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    for query in ("q=flatten", "outcome=never-drops", "changed_in=1.11.0", "probe=dropout", "status=done"):
        assert bisection_id in service.client.get(f"/bisections?{query}").text
    for query in ("q=transformer", "outcome=flaky", "changed_in=1.12.0", "status=failed"):
        assert bisection_id not in service.client.get(f"/bisections?{query}").text


def test_a_share_preview_names_verdict_and_picture(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    page = service.client.get(f"/b/{bisection_id}").text
    assert '<meta property="og:title" content="Dropout stops working in 1.11.0' in page
    assert f'content="{service.url}/b/{bisection_id}/card.png"' in page


def test_errors_are_pages_for_people_and_problems_for_programs(service: Served) -> None:
    person = service.client.get("/b/none", headers={"accept": "text/html"})
    program = service.client.get("/b/none")
    assert person.status_code == program.status_code == 404
    assert "<h1>Not found</h1>" in person.text
    assert program.json()["status"] == 404


def test_a_bisection_is_deleted_from_its_page(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    assert service.client.post(f"/b/{bisection_id}/delete").status_code == 303
    assert service.client.get(f"/b/{bisection_id}").status_code == 404


def test_a_file_that_is_no_utf8_is_refused_as_on_the_command_line(service: Served) -> None:
    latin = TUTORIAL.replace("import tensorflow", "# größe\nimport tensorflow").encode("latin-1")
    answer = service.client.post(
        "/", data={**FORM, "snippet": ""}, files={"file": ("model.py", latin, "text/x-python")}
    )
    assert answer.status_code == 422
    assert answer.text.count("model.py is not UTF-8 text; save it as UTF-8.") == 1
    assert service.client.get("/api/v1/bisections").json()["items"] == []


def test_what_is_wrong_with_a_field_is_said_once(service: Served) -> None:
    page = service.client.post("/", data={**FORM, "releases": "2.0..1.9"}).text
    assert page.count("swap the ends") == 1
    assert '<a href="#releases">Releases</a>: see below' in page


def test_the_first_page_shows_an_answer_that_real_runs_gave_and_starts_its_example(service: Served) -> None:
    page = service.client.get("/").text
    assert "<b>Dropout stops working in 1.11.0 and works again in 1.13.1.</b>" in page
    hero = page.partition("<figure")[2].partition("</figure>")[0]
    assert hero.count("never-drops") >= 3
    assert 'href="/b/' not in hero
    location = service.client.post("/", data={"example": "dropout_tutorial.py"}).headers["location"]
    request = service.world.store.bisection(location.rpartition("/")[2]).request
    assert (request["releases"], request["name"]) == ("1.9..1.14", "The 2018 Dropout bug")
    assert service.client.post("/", data={"example": "../README.md"}).status_code == 404
    assert 'value="1.9..1.14"' in service.client.get("/?example=dropout_tutorial.py").text


def test_cuda_is_offered_only_where_a_device_is(service: Served) -> None:
    assert 'type="radio" name="hardware"' not in service.client.get("/").text
    assert 'value="cuda" checked' in service.client.post("/", data={**FORM, "hardware": "cuda", "snippet": ""}).text


def test_interpreter_day_and_causes_are_asked_from_the_form(service: Served) -> None:
    request = request_of(service, {"python": "3.6", "as_of": "2019-06-01", "no_why": "1", "name": "mine"})
    assert (request["python"], request["as_of"], request["why"], request["name"]) == (
        "3.6",
        "2019-06-01",
        False,
        "mine",
    )
    listed = service.client.get("/api/v1/bisections").json()["items"]
    page = service.client.get(f"/?like={listed[0]['id']}").text
    assert 'value="2019-06-01"' in page
    assert 'name="no_why" value="1" checked' in page
    assert "This must be a day such as" in service.client.post("/", data={**FORM, "as_of": "soon"}).text


def test_the_strip_of_another_package_is_its_own(service: Served) -> None:
    assert 'value="1.11"' in service.client.get("/strip?package=tensorflow").text
    assert service.client.get("/strip?package=pandas").text.count("<button") == 1
    assert "<button" not in service.client.get("/strip?package=no-such").text


def test_a_result_lists_what_was_asked(service: Served) -> None:
    done = service.bisected(TUTORIAL, python="3.6")
    page = service.client.get(f"/b/{done['id']}").text
    asked = page.partition('id="question"')[2].partition("</section>")[0]
    assert "1.9..1.14" in asked
    assert "<dt>Python</dt>" in asked


def test_who_waits_is_told_how_many_come_first(service: Served) -> None:
    first, second = (service.submit(TUTORIAL.replace("512", str(size)))["id"] for size in (64, 32))
    assert "next in line" in service.client.get(f"/b/{first}").text
    assert "1 before it" in service.client.get(f"/b/{second}").text


def test_a_release_without_an_image_is_told_to_be_built_where_images_are_known() -> None:
    bisection: Any = SimpleNamespace(package="tensorflow", request={"hardware": "cpu"})
    for known, built in (({"1.9.0"}, ["1.10.0"]), (set(), [])):
        surroundings = Surroundings(warm_releases=lambda _package, _hardware, known=known: known)  # type: ignore[misc]
        site: Any = SimpleNamespace(surroundings=surroundings)
        assert building(site, bisection, ["1.9.0", "1.10.0"]) == built


def test_equal_questions_stand_once_in_a_list(service: Served) -> None:
    first, second = (service.bisected(TUTORIAL)["id"] for _ in range(2))
    other = service.bisected(TUTORIAL, releases="1.9..1.11")["id"]
    page = service.client.get("/bisections").text
    assert page.count('<a class="title"') == 2
    assert "asked 2 times" in page
    assert all(f"/b/{each}" in page for each in (first, second, other))


def test_a_list_is_filtered(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    found = ("finding=changed", "package=tensorflow", "since=2020-01-01", "order=oldest")
    not_found = ("finding=unchanged", "finding=none", "package=torch", "since=2999-01-01", "until=2020-01-01")
    for query in found + not_found:
        assert (bisection_id in service.client.get(f"/bisections?{query}").text) is (query in found), query
    assert "is not a day; write it as 2026-01-31." in service.client.get("/bisections?since=yesterday").text


def test_several_are_deleted_at_once_or_none(service: Served) -> None:
    ids = [service.bisected(TUTORIAL, releases=f"1.{minor}..1.14")["id"] for minor in (9, 10)]
    assert service.client.post("/bisections/delete", data={"id": [ids[0], "none"]}).status_code == 404
    assert len(service.client.get("/api/v1/bisections").json()["items"]) == 2
    assert service.client.post("/bisections/delete", data={"id": ids}).status_code == 303
    assert service.client.get("/api/v1/bisections").json()["items"] == []


def test_two_selected_bisections_are_compared_with_their_snippets_and_questions(service: Served) -> None:
    ids = [
        service.bisected(TUTORIAL.replace("512", str(size)), releases=f"1.9..1.{last}")["id"]
        for size, last in ((256, 14), (128, 12))
    ]
    page = service.client.get("/compare", params={"id": ids}).text
    assert '<span class="went">-    tf.keras.layers.Dense(256' in page
    assert '<span class="came">+    tf.keras.layers.Dense(128' in page
    assert '<td class="mono">1.9..1.12</td>' in page
    assert page.count('class="legend"') == 2
    assert "1 bisection selected; two are compared." in service.client.get("/compare", params={"id": ids[:1]}).text


def test_the_icon_is_where_browsers_ask_for_it(service: Served) -> None:
    assert service.client.get("/favicon.ico").content[:4] == b"\0\0\1\0"


def test_the_api_page_has_contents_code_and_calls_to_try(service: Served) -> None:
    page = service.client.get("/docs").text
    anchors = re.findall(r'<li><a href="#([^"]+)">', page)
    assert len(anchors) >= 12
    assert all(f'id="{anchor}"' in page for anchor in anchors)
    assert "<code>Location</code>" in page
    assert "`" not in re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", page, flags=re.DOTALL)
    assert 'data-method="DELETE"' not in page

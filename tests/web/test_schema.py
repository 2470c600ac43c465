"""The API against its own description, by thousands of made-up requests."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.web.api.examples import ULID
from service.web.api.reference import as_markdown, calls, description
from tests.catalog.worlds import an_index
from tests.fuzzing import at_most, within_budget
from tests.web.conftest import Served, served
from tests.web.world import TUTORIAL, MadeUpRuns, World

SHARE = 0.5
"""Of a fuzzed test's time, for each call of the API."""
REFERENCE = Path(__file__).parents[2] / "docs" / "api.md"
OPERATIONS = [(call.method, call.path) for call in calls(description()) if not call.path.endswith("/events")]

# What is good input no schema can say here: Python source with a model, a package that the index has, a cursor that a
# page gave, files with names. Everything else must hold there too, and every check everywhere else.
NO_SCHEMA_SAYS = {
    "/api/v1/bisections",
    "/api/v1/estimate",
    "/api/v1/projects",
    "/api/v1/releases",
}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service with one finished bisection, and its description."""
    generous = {"submissions_per_minute": 10**6, "submissions_per_hour": 10**6, "queued_at_most": 10**6}
    generous["estimates_per_minute"] = 10**6
    folder = tmp_path_factory.mktemp("schema")
    with an_index({}) as url, served(World(folder, MadeUpRuns(), index_url=url, **generous)) as service:
        yield service, schemathesis.openapi.from_url(f"{service.url}/openapi.json")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_described(described: Any, method: str, path: str) -> None:
    service, schema = described
    service.bisected(TUTORIAL)

    @settings(at_most(40), phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy())
    @partial(within_budget, share=SHARE)
    def holds(case: Any) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if path in NO_SCHEMA_SAYS else [])

    holds()


def test_every_call_has_an_example_and_words(service: Served) -> None:
    schema = service.client.get("/openapi.json").json()
    for call in calls(schema):
        assert call.summary, call.path
        assert call.description, call.path
        assert call.curl("http://h").startswith("curl"), call.path
        for parameter in call.parameters:
            assert parameter.words or parameter.place == "body", (call.path, parameter.name)


def test_every_json_answer_has_an_example(service: Served) -> None:
    schema = service.client.get("/openapi.json").json()
    for path, item in schema["paths"].items():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                for media_type, content in answer.get("content", {}).items():
                    assert media_type != "application/json" or "example" in content, (path, status)


def test_the_example_of_a_submission_is_a_good_one(service: Served) -> None:
    schema = service.client.get("/openapi.json").json()
    submission = next(call for call in calls(schema) if (call.method, call.path) == ("POST", "/api/v1/bisections"))
    answer = service.client.post("/api/v1/bisections", json=submission.body)
    assert answer.status_code == 202, answer.text


def test_the_reference_in_docs_is_what_the_service_says() -> None:
    assert REFERENCE.read_text() == as_markdown(description())


def test_the_description_refers_to_nothing_that_is_not_there(service: Served) -> None:
    schema = service.client.get("/openapi.json").json()
    text = json.dumps(schema)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in schema["components"]["schemas"]
    assert ULID in text

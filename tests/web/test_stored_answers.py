"""A finished bisection is rendered once and read from its row; the answer is as right as if it were made anew."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

import service as service_package
from service.catalog.probes import load_probes
from service.errors import StoreError
from service.reports import documents as documents_module
from service.reports.documents import Document, bisection_json
from service.reports.program import imported_names, program_of
from service.reports.readings import Readings
from service.resources import resource_dir
from service.storage.records import ADMIN, StoredDocument
from service.storage.tables import documents
from tests.web.conftest import Served
from tests.web.world import TUTORIAL

BISECTIONS = "/api/v1/bisections"


def finished(service: Served) -> str:
    """Submit and run, without reading."""
    name = str(service.submit(TUTORIAL)["id"])
    service.world.work_off()
    return name


def forget_documents(service: Served) -> None:
    with service.world.store._writing() as connection:
        connection.execute(delete(documents))


def rendered(service: Served, name: str) -> bytes:
    store, judge = service.world.store, service.world.probes["dropout"].judge
    return Document.of(
        bisection_json(store.bisection(name), store.linked_observations(name), lambda _linked: judge)
    ).content


def test_a_bisection_is_rendered_when_it_ends_and_not_before(service: Served) -> None:
    name = str(service.submit(TUTORIAL)["id"])
    assert service.client.get(f"{BISECTIONS}/{name}").json()["status"] == "queued"
    assert service.world.store.document(name) is None
    service.world.work_off()
    assert service.world.store.document(name) is not None
    assert service.client.get(f"{BISECTIONS}/{name}").content == rendered(service, name)


def test_an_answer_from_stored_observations_is_rendered_too(service: Served) -> None:
    finished(service)
    again = service.submit(TUTORIAL)
    assert service.world.store.document(again["id"]) is not None
    assert service.client.get(f"{BISECTIONS}/{again['id']}").json() == again


def test_one_that_ended_before_there_were_documents_is_rendered_by_its_first_reader(service: Served) -> None:
    name = finished(service)
    forget_documents(service)
    first = service.client.get(f"{BISECTIONS}/{name}")
    assert service.world.store.document(name) is not None
    second = service.client.get(f"{BISECTIONS}/{name}")
    assert first.content == second.content == rendered(service, name)
    assert first.headers["etag"] == second.headers["etag"]


def test_a_cancelled_one_is_stored_as_it_was_cancelled(service: Served) -> None:
    name = str(service.submit(TUTORIAL)["id"])
    assert service.client.post(f"{BISECTIONS}/{name}/cancel").json()["status"] == "cancelled"
    assert service.world.store.document(name) is not None
    assert service.client.get(f"{BISECTIONS}/{name}").json()["status"] == "cancelled"


def test_what_an_earlier_program_rendered_is_rendered_anew(service: Served) -> None:
    name = finished(service)
    stale = StoredDocument("sha256:earlier", True, None, 'W/"old"', Document("", b"{}").zipped().content)
    service.world.store.put_document(name, stale)
    answer = service.client.get(f"{BISECTIONS}/{name}", headers={"if-none-match": 'W/"old"'})
    assert (answer.status_code, answer.content) == (200, rendered(service, name))


def test_a_document_is_not_kept_while_its_probe_is_gone(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    name = finished(service)
    forget_documents(service)
    readings = Readings(service.world)
    monkeypatch.setattr(readings, "_programs", {})
    assert readings.document(name, ADMIN).content
    assert service.world.store.document(name) is None


def test_a_client_that_takes_gzip_gets_the_same_answer_compressed(service: Served) -> None:
    path = f"{BISECTIONS}/{finished(service)}"
    packed = service.client.get(path, headers={"accept-encoding": "gzip"})
    plain = service.client.get(path, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    assert packed.headers["etag"] == plain.headers["etag"]


def test_a_tag_is_enough_to_be_told_that_nothing_is_new(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{BISECTIONS}/{finished(service)}"
    tag = service.client.get(path).headers["etag"]

    def unread(_name: str) -> StoredDocument:
        raise AssertionError("the whole document was read")

    monkeypatch.setattr(service.world.store, "document", unread)
    answer = service.client.get(path, headers={"if-none-match": tag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


def test_one_deleted_by_another_process_is_gone_at_once(service: Served) -> None:
    path = f"{BISECTIONS}/{(name := finished(service))}"
    tag = service.client.get(path).headers["etag"]
    service.world.store.delete_bisection(name)
    assert service.client.get(path).status_code == 404
    assert service.client.get(path, headers={"if-none-match": tag}).status_code == 404


def test_a_tag_says_nothing_about_a_private_bisection_to_a_stranger(service: Served) -> None:
    _, secret = service.world.store.create_token("mine", ["read", "submit"])
    mine = {"authorization": f"Bearer {secret}"}
    body = {"snippet": TUTORIAL, "releases": "1.9..1.14", "visibility": "private"}
    name = service.client.post(BISECTIONS, json=body, headers=mine).json()["id"]
    service.world.work_off()
    tag = service.client.get(f"{BISECTIONS}/{name}", headers=mine).headers["etag"]
    for named in (tag, "*"):
        asked = {"if-none-match": named}
        assert service.client.get(f"{BISECTIONS}/{name}", headers={**mine, **asked}).status_code == 304
        assert service.client.get(f"{BISECTIONS}/{name}", headers=asked).status_code == 404


def test_reading_goes_on_where_nothing_can_be_kept(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    name = finished(service)
    forget_documents(service)

    def full(*_: object) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(service.world.store, "put_document", full)
    assert service.client.get(f"{BISECTIONS}/{name}").content == rendered(service, name)


def test_a_database_that_is_away_is_told_as_a_problem(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    name = finished(service)

    def away(_name: str) -> None:
        raise StoreError("the database does not answer")

    monkeypatch.setattr(service.world.store, "document", away)
    answer = service.client.get(f"{BISECTIONS}/{name}")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("probe", "module"),
    [
        ("script", "catalog/normalising.py"),
        ("dropout", "bisection/likeness.py"),
        ("script", "bisection/likeness.py"),
        ("dropout", "bisection/outcomes.py"),
        ("dropout", "reports/documents.py"),
        ("dropout", "coordination/answers.py"),
        ("dropout", "../probes/dropout/judge.py"),
    ],
)
def test_a_stored_answer_is_made_anew_when_any_code_that_it_comes_from_is_another(
    probe: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = sys.modules[load_probes(resource_dir("probes"))[probe].judge.__module__]
    before = program_of(documents_module, judge)
    assert program_of(documents_module, judge) == before
    changed, read = (Path(service_package.__file__).parent / module).resolve(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.resolve() == changed))
    assert program_of(documents_module, judge) != before


def test_every_import_of_ours_is_found_without_taking_the_source_apart() -> None:
    root = Path(service_package.__file__).parent
    for file in (*root.rglob("*.py"), *resource_dir("probes").rglob("judge.py")):
        source = file.read_text(encoding="utf-8")
        wanted = {name for node in ast.walk(ast.parse(source)) for name in imports_of(node)}
        assert wanted <= set(imported_names(source)), file


def imports_of(node: ast.AST) -> Iterator[str]:
    """Yield the modules of ours that a node imports, as Python itself reads it."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "service")
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "service":
        yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))

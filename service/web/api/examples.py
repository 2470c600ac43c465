"""Examples of requests and answers, made from the schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.config import JsonDict

ULID = "01K0ABCDEFGHJKMNPQRSTVWXYZ"
API = "/api/v1"
LINKS: JsonDict = {
    "self": f"{API}/bisections/{ULID}",
    "events": f"{API}/bisections/{ULID}/events",
    "cancel": f"{API}/bisections/{ULID}/cancel",
    "page": f"/b/{ULID}",
    "report": f"/b/{ULID}.md",
    "badge": f"/b/{ULID}.svg",
    "csv": f"/b/{ULID}.csv",
    "snippet": f"/b/{ULID}.py",
}
SUMMARY: JsonDict = {
    "id": ULID,
    "status": "done",
    "created_at": "2026-11-23T09:15:00.000Z",
    "started_at": "2026-11-23T09:15:00.412Z",
    "finished_at": "2026-11-23T09:15:31.020Z",
    "package": "tensorflow",
    "probe": "dropout",
    "snippet": "sha256:9fe7df76e7a591d4e4c462170357741774dba7db7fe6f4e20ebd817bb988e42a",
    "visibility": "public",
    "links": LINKS,
}
CHANGE: JsonDict = {
    "kind": "introduced",
    "line": "mainline",
    "before": "1.10.0",
    "after": "1.11.0",
    "old": "drops",
    "new": "never-drops",
    "between": [],
    "confidence": 0.996,
}
OBSERVATION: JsonDict = {
    "id": "01K0ABCDEFGHJKMNPQRSTVWXZ0",
    "release": "1.11.0",
    "variant": "",
    "repeat": 0,
    "reused": False,
    "observed_at": "2026-11-23T09:15:12.100Z",
    "answer": "outcome",
    "outcome": "never-drops",
    "reason": "losses of fit and train_on_batch stay at 2.31, evaluation at 2.31",
    "measurements": {"train_losses": [2.31, 2.31], "evaluate_losses": [2.31, 2.31]},
    "ending": "answered",
    "python": "3.6.15",
    "runner": "docker",
    "device": "cpu",
    "seconds": {"import": 1.9, "probe": 0.44, "total": 2.71},
}
BISECTION: JsonDict = {
    **SUMMARY,
    "request": {"package": "tensorflow", "releases": "1.9..1.14", "probe": "dropout", "hardware": "cpu"},
    "progress": {"runs_done": 21, "runs_planned_at_least": 21, "current": []},
    "observations": [OBSERVATION],
    "verdict": {
        "schema": "tfbisect/verdict/1",
        "id": ULID,
        "status": "done",
        "summary": "Introduced in 1.11.0: drops became never-drops.",
        "changes": [CHANGE],
    },
    "error": None,
}
RELEASES: JsonDict = {
    "package": "tensorflow",
    "as_of": "2026-11-24T03:00:00.000Z",
    "problem": "",
    "mainline": ["1.12.0"],
    "items": [
        {
            "release": "1.12.0",
            "uploaded_at": "2018-11-05T21:00:00.000Z",
            "pythons": ["2.7", "3.6"],
            "bytes": 83100000,
            "yanked": False,
            "gone": False,
        }
    ],
}
PROBE: JsonDict = {
    "name": "dropout",
    "title": "Dropout is active in training only",
    "question": "Does the loss of a model that cannot learn vary in training and stay the same in evaluation?",
    "outcomes": {"drops": "training losses vary and evaluation losses do not", "never-drops": "neither varies"},
    "expected": ["drops"],
    "parameters": {"input_shape": {"type": "shape", "default": [], "help": "shape of one input"}},
    "digest": "sha256:6b3a55e0261b0304143f805a24924d0c1c44524821305f31d9277843b8a10f4e",
}
COMPARISON: JsonDict = {
    "left": SUMMARY,
    "right": {**SUMMARY, "id": "01K0ABCDEFGHJKMNPQRSTVWXZ1"},
    "same": False,
    "releases": [{"release": "1.11.0", "left": "never-drops", "right": "drops", "differs": True}],
    "changes": {"both": [], "left": [CHANGE], "right": []},
}
ESTIMATE: JsonDict = {"releases": 10, "runs": 6, "runs_with_changes": 21, "images_to_build": 9, "seconds": 99.0}


def example_of(schema: Mapping[str, Any], field: Mapping[str, Any]) -> Any:
    """Return an example of a value: the given one, or a generated one."""
    field = resolved(schema, field)
    if field.get("examples"):
        return field["examples"][0]
    if "const" in field or "enum" in field:
        return field.get("const", field.get("enum", [None])[0])
    if "anyOf" in field:
        return example_of(schema, field["anyOf"][0])
    match field.get("type"):
        case "object":
            return {name: example_of(schema, each) for name, each in field.get("properties", {}).items()}
        case "array":
            return [example_of(schema, field["items"])] if "items" in field else []
        case kind:
            return {"integer": 1, "number": 1.0, "boolean": False, "null": None}.get(str(kind), "…")


def resolved(schema: Mapping[str, Any], field: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference."""
    while "$ref" in field:
        field = schema["components"]["schemas"][field["$ref"].rpartition("/")[2]]
    return field

"""The API through a client that a generator makes of its description: names that read well, and calls that work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from uv import find_uv_bin

from service.web.api.reference import calls, description
from tests.web.conftest import Served
from tests.web.world import TUTORIAL

# In an environment of its own: it needs an older typer than this program.
GENERATOR = "openapi-python-client==0.29.1"
SCRIPT = """
import json, sys
from made_client import Client
from made_client.api.bisections import follow_bisection, list_bisections, read_bisection, submit_bisection
from made_client.models import SubmissionBody

with Client(base_url=sys.argv[1], timeout=60) as client:
    body = SubmissionBody(snippet=sys.stdin.read(), probe="dropout", releases="1.9..1.14")
    submitted = submit_bisection.sync(client=client, body=body)
    events = follow_bisection.sync_detailed(submitted.id, client=client).content.decode()
    read = read_bisection.sync(submitted.id, client=client)
    listed = list_bisections.sync(client=client)
print(json.dumps({
    "submitted": submitted.status,
    "events": [line[7:] for line in events.splitlines() if line.startswith("event: ")],
    "read": read.to_dict(),
    "listed": [each.id for each in listed.items],
}))
"""


def test_every_operation_is_a_verb_and_what_it_acts_on() -> None:
    names = [operation["operationId"] for item in description()["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names) == len(calls(description()))
    for name in names:
        assert re.fullmatch(r"[a-z]+_[a-z]+", name), name


@pytest.mark.index
def test_a_generated_client_submits_follows_and_reads(service: Served, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(service.client.get("/openapi.json").text)
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    making = ("openapi-python-client", "generate", "--meta", "none", "--output-path", "made_client")
    made = in_environment(tmp_path, *making, "--path", "openapi.json", "--config", "config.yml")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "Warning" not in made.stdout
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            service.world.work_off()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        asked = in_environment(tmp_path, "python", "script.py", service.url, given=TUTORIAL)
    finally:
        stop.set()
        worker.join()
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)
    assert found["submitted"] == "queued"
    assert found["events"][-1] == "end"
    assert {"observation", "verdict"} <= set(found["events"])
    assert [change["after"] for change in found["read"]["verdict"]["changes"]] == ["1.11.0", "1.13.1"]
    assert found["listed"] == [found["read"]["id"]]


def in_environment(folder: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that has the generator and what its clients need."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    uv = [find_uv_bin(), "run", "--quiet", "--no-project", "--isolated", "--python", python, "--with", GENERATOR]
    return subprocess.run(
        [*uv, *words], input=given, cwd=folder, check=False, capture_output=True, text=True, timeout=120
    )

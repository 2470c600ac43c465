"""A large database, as the lines of an export: what many users leave behind in years."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from service import json_text
from service.storage.exchange import FORMAT
from service.storage.observations import observation_key
from service.storage.records import report_as_json
from service.storage.schema import newest_version
from service.storage.search_words import change_points, verdict_terms, word_term, words_of
from service.storage.tables import metadata
from tests.storage.worlds import REPORT, REQUEST, SNIPPET, identity, verdict

Row = tuple[str, dict[str, Any]]
_ORDER = {table.name: place for place, table in enumerate(metadata.sorted_tables)}
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_START = datetime(2024, 1, 1, tzinfo=UTC)
_PROBES = ("dropout", "dropout", "dropout", "noise", "custom")
_STATUSES = ("done",) * 20 + ("failed", "cancelled")


def crowd_lines(bisections: int, observations_each: int, seed: int = 1) -> Iterator[str]:
    """Give the lines of an export with so many finished bisections, each with so many observations."""
    yield json_text.dumps({"format": FORMAT, "version": newest_version()})
    counts: Counter[str] = Counter()
    # In the order of an export, whose rows are written many at once.
    for table, row in sorted(_rows(bisections, observations_each, seed), key=lambda row: _ORDER[row[0]]):
        counts[table] += 1
        yield json_text.dumps({"table": table, "row": row})
    yield json_text.dumps({"end": counts})


def made_id(kind: int, number: int) -> str:
    """Return an id whose order is that of the numbers."""
    digits = "".join(_ALPHABET[number >> shift & 31] for shift in range(45, -5, -5))
    return f"01{kind:04d}{'0' * 10}{digits}"


def _rows(bisections: int, observations_each: int, seed: int) -> Iterator[Row]:
    for number in range(bisections):
        yield "snippets", {"digest": f"sha256:{number}", "source": _snippet(number)}
    for number in range(bisections * observations_each):
        yield _observation(number, observations_each)
    for number in range(bisections):
        yield _bisection(number, random.Random(f"{seed} {number}"))
    for number in range(bisections):
        yield from _what_hangs_on(number, observations_each, random.Random(f"{seed} {number}"))


def _snippet(number: int) -> str:
    rare = f"team_{number}" if number % 100 else "rare_layer"
    return f"{SNIPPET}model.compile(optimizer='adam')\n{rare} = load_data()\nmodel.fit({rare})\n"


def _observation(number: int, each: int) -> Row:
    seen = identity(f"1.{number % each}.0", snippet=f"sha256:{number // each}")
    return "observations", {
        "id": made_id(1, number),
        "key": observation_key(seen),
        "repeat": 0,
        "package": seen.package,
        "release": seen.release,
        "snippet": seen.snippet,
        "created_at": _moment(number // each),
        "identity": asdict(seen),
        "report": report_as_json(REPORT),
    }


def _moment(number: int) -> str:
    return (_START + timedelta(minutes=number)).isoformat()


def _verdict(number: int, chance: random.Random) -> dict[str, Any]:
    release = f"2.{chance.randrange(20)}.0" if number % 1000 else "1.11.0"
    found = verdict(("introduced", "mainline", release))
    found["segments"].append({"line": "mainline", "outcome": "flaky" if number % 500 == 0 else "drops"})
    return found


def _bisection(number: int, chance: random.Random) -> Row:
    found = _verdict(number, chance)
    probe, status = chance.choice(_PROBES), chance.choice(_STATUSES)
    done = status == "done"
    return "bisections", {
        "id": made_id(0, number),
        "created_at": _moment(number),
        "started_at": _moment(number),
        "finished_at": _moment(number + 1),
        "status": status,
        "package": "tensorflow",
        "probe": probe,
        "snippet_digest": f"sha256:{number}",
        "request": REQUEST | {"probe": probe},
        "progress": {"runs_done": 20},
        "verdict": found if done else None,
        "error": None,
        "points": change_points(found) if done else None,
        "public": number % 10 != 0,
        "owner": f"OWNER{number % 7}",
        "cancel_requested": False,
        "last_event": 2,
        "attempts": 1,
        "lease_owner": None,
        "lease_expires_at": None,
    }


def _what_hangs_on(number: int, each: int, chance: random.Random) -> Iterator[Row]:
    one = made_id(0, number)
    found = _verdict(number, chance)
    for link in range(number * each, (number + 1) * each):
        yield "links", {"bisection_id": one, "variant": "", "observation_id": made_id(1, link), "reused": False}
    for seq, kind in ((1, "verdict"), (2, "end")):
        event = {"bisection_id": one, "seq": seq, "kind": kind, "payload": {}, "created_at": _moment(number)}
        yield "events", event
    change = {"bisection_id": one, "position": 0, "package": "tensorflow"} | found["changes"][0]
    yield "changes", change
    for term in sorted({*map(word_term, words_of(_snippet(number))), *verdict_terms(found)}):
        yield "search_terms", {"term": term, "bisection_id": one}

"""A store as large as years of use: one real bisection, copied inside SQLite, each copy with its own observations."""

from __future__ import annotations

import gzip
import sqlite3
from functools import lru_cache
from pathlib import Path

from service.coordination.intake import BisectionRequest
from service.reports.documents import Document
from tests.web.world import TUTORIAL, World

PREFIX = "01K"
"""Ids of the copies: older than every id that is made today."""
RARE = "conv3dtranspose"


def identifier(number: int) -> str:
    """Return the id of a copy: a ULID by its letters, in the order of the numbers."""
    return f"{PREFIX}{number:023d}"


def fill(folder: Path, bisections: int) -> dict[str, int]:
    """Fill a store and return how many rows it holds."""
    world = World(folder)
    template = _template(world)
    path = world.settings.data_dir / "tfbisect.sqlite3"
    world.close()
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript("PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF; PRAGMA cache_size=-400000;")
    database.execute("BEGIN")
    database.execute("CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY)")
    database.executemany("INSERT INTO numbers VALUES (?)", ((number,) for number in range(bisections)))
    _copy(database, template)
    database.execute("COMMIT")
    database.executescript("PRAGMA synchronous=NORMAL; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);")
    counted = ("bisections", "observations", "links", "documents", "search_terms")
    counts = {table: _count(database, table) for table in counted}
    database.close()
    return counts


def _template(world: World) -> str:
    """Run one bisection with twenty observations and return its id."""
    body = {"snippet": TUTORIAL, "probe": "dropout", "releases": "1.8..2.6", "resolution": 1}
    submitted = world.submission.submit(BisectionRequest.model_validate(body))
    world.work_off()
    return submitted.id


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def _copy(database: sqlite3.Connection, template: str) -> None:
    """Copy the template's rows once for each number, in the order of the primary keys."""
    new_id = f"'{PREFIX}' || printf('%023d', n)"
    own = {"bisections": {"id": new_id}, "changes": {"bisection_id": new_id}}
    for table, replaced in own.items():
        _insert(database, table, replaced, f"{next(iter(replaced))} = '{template}'", "numbers")
    _copy_documents(database, template, new_id)
    database.execute(
        "CREATE TEMP TABLE seen AS SELECT row_number() OVER (ORDER BY observation_id) AS k, observation_id FROM links "
        f"WHERE bisection_id = '{template}' LIMIT 20"
    )
    observation_id = "'01K' || printf('%020d', n) || printf('%03d', seen.k)"
    replaced = {"id": observation_id, "key": "'sha256:' || lower(hex(randomblob(32)))"}
    _insert(database, "observations", replaced, "observations.id = seen.observation_id", "numbers, seen")
    database.execute(
        f"INSERT INTO links (bisection_id, variant, observation_id, reused) "
        f"SELECT {new_id}, '', {observation_id}, 0 FROM numbers, seen"
    )
    terms = f"(SELECT term FROM search_terms WHERE bisection_id = '{template}' ORDER BY term) AS terms"
    database.execute(
        f"INSERT INTO search_terms (term, bisection_id) SELECT terms.term, {new_id} FROM {terms} CROSS JOIN numbers"
    )
    some = f"INSERT INTO search_terms (term, bisection_id) SELECT 'w:{RARE}', {new_id} FROM numbers WHERE n % 5000 = 7"
    database.execute(some)


def _copy_documents(database: sqlite3.Connection, template: str, new_id: str) -> None:
    """Give each copy the rendered answer that it would have got when it ended: its own id in it, its own tag."""
    made_by, body = database.execute("SELECT made_by, body FROM documents").fetchone()
    text = gzip.decompress(body)

    @lru_cache(1)
    def readdressed(name: str) -> Document:
        content = text.replace(template.encode(), name.encode())
        return Document.of_bytes(content).zipped()

    database.create_function("tag_of", 1, lambda name: readdressed(name).etag)
    database.create_function("body_of", 1, lambda name: readdressed(name).content)
    database.execute(
        "INSERT INTO documents (bisection_id, made_by, public, owner, tag, body) "
        f"SELECT name, '{made_by}', 1, NULL, tag_of(name), body_of(name) FROM (SELECT {new_id} AS name FROM numbers)"
    )


def _insert(database: sqlite3.Connection, table: str, replaced: dict[str, str], where: str, source: str) -> None:
    columns = _columns(database, table)
    values = ", ".join(replaced.get(column, f"{table}.{column}") for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    database.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {source} CROSS JOIN {table} WHERE {where}")


def _count(database: sqlite3.Connection, table: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

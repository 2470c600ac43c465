"""Lists and searches, newest first. Each reads one index from its newest end, so none gets slower with the table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Select,
    UnaryExpression,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.sql.operators import custom_op

from service.errors import BadInput, NotFound
from service.storage.bisections import BISECTION_COLUMNS, bisection_of
from service.storage.connected import Connected
from service.storage.records import EVERYBODY, Bisection, Finding, Page, Search, StoredChange, Viewer
from service.storage.search_words import change_terms, outcome_term, word_term, words_of
from service.storage.tables import bisections, changes, search_terms, snippets
from service.storage.ulid import first_at

# Counts above this mean "common"; counting further would make searches slower with the table.
_COMMON = 500
_MOST_WORDS = 50  # each is looked up for every bisection that has the rarest of them


class Listing(Connected):
    def bisections(
        self, search: Search | None = None, *, limit: int = 20, cursor: str | None = None, viewer: Viewer = EVERYBODY
    ) -> Page[Bisection]:
        """Return a page of the bisections that a viewer may see, newest first.

        Args:
            search: what to list; by default all.
            limit: rows per page.
            cursor: `next` of the page before.
            viewer: who asks.

        Raises:
            BadInput: a text without a word in it.
        """
        search = search or Search()
        with self._reading() as connection:
            terms = _rarest_first(connection, _terms_of(search))
            query = bisections_query(search, terms, viewer, cursor, connection.dialect).limit(limit + 1)
            rows = [bisection_of(row) for row in connection.execute(query)]
        return _page(rows, limit)

    def snippets_of(self, found: Iterable[Bisection]) -> dict[str, str]:
        """Return the sources of bisections by their digests."""
        digests = {bisection.snippet_digest for bisection in found}
        query = select(snippets.c.digest, snippets.c.source).where(snippets.c.digest.in_(digests))
        with self._reading() as connection:
            return {row.digest: row.source for row in connection.execute(query)} if digests else {}

    def bisection_named(self, name: str, *, viewer: Viewer = EVERYBODY) -> Bisection:
        """Return a bisection by its id, an unambiguous beginning of it, or `last` for the newest.

        Raises:
            NotFound: there is none that the viewer may see.
            BadInput: several begin so.
        """
        query = _visible(select(*BISECTION_COLUMNS), viewer).order_by(bisections.c.id.desc()).limit(2)
        beginning = name.strip().upper()
        if beginning != "LAST":
            # A range of the primary key; "~" comes after every character of an id.
            query = query.where(bisections.c.id >= beginning, bisections.c.id < f"{beginning}~")
        if not beginning.isalnum() or not beginning.isascii():
            raise NotFound(f"no bisection {name}; `tfbisect list` shows the stored ones.")
        with self._reading() as connection:
            found = [bisection_of(row) for row in connection.execute(query)]
        if not found:
            raise NotFound(
                "no bisection is stored yet."
                if beginning == "LAST"
                else f"no bisection {name}; `tfbisect list` shows the stored ones."
            )
        if len(found) > 1 and beginning != "LAST":
            raise BadInput(
                f"several bisections begin with {name}, such as {found[0].id} and {found[1].id}.", field="id"
            )
        return found[0]

    def changes_in(
        self,
        package: str,
        release: str,
        *,
        limit: int = 50,
        cursor: str | None = None,
        viewer: Viewer = EVERYBODY,
    ) -> Page[StoredChange]:
        """Return a page of what changes in a release, by every bisection that the viewer may see."""
        query = changes_query(package, release, viewer, cursor).limit(limit + 1)
        with self._reading() as connection:
            rows = [StoredChange(**row._mapping) for row in connection.execute(query)]
        if len(rows) <= limit:
            return Page(tuple(rows), None)
        # A page ends between bisections, so that the cursor can be a bisection's id.
        last = rows[limit].bisection_id
        kept = [row for row in rows if row.bisection_id != last]
        return Page(tuple(kept or rows), kept[-1].bisection_id if kept else last)

    def similar_bisections(
        self, bisection_id: str, *, limit: int = 10, viewer: Viewer = EVERYBODY
    ) -> tuple[Bisection, ...]:
        """Return other bisections of the same package whose behaviour changed at the same places, newest first."""
        points = select(bisections.c.points).where(bisections.c.id == bisection_id).scalar_subquery()
        query = _visible(select(*BISECTION_COLUMNS), viewer).where(
            bisections.c.points == points, bisections.c.id != bisection_id
        )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(bisections.c.id.desc()).limit(limit))
            return tuple(bisection_of(row) for row in rows)


def bisections_query(
    search: Search, terms: tuple[str, ...], viewer: Viewer, cursor: str | None, dialect: Dialect
) -> Select[Any]:
    """Return the query of a list: along the first term's index where there are terms, else along a column's."""
    key = search_terms.c.bisection_id if terms else bisections.c.id
    order = key.asc() if search.oldest_first else key.desc()
    query = _visible(select(*BISECTION_COLUMNS), viewer).order_by(order)
    if terms:
        query = query.join(search_terms, search_terms.c.bisection_id == bisections.c.id)
        query = query.where(search_terms.c.term == terms[0])
    for term in terms[1:]:
        other = search_terms.alias()
        query = query.where(select(literal(1)).where(other.c.term == term, other.c.bisection_id == key).exists())
    for name in ("status", "probe", "package", "owner"):
        if (wanted := getattr(search, name)) is not None:
            column = bisections.c[name]
            query = query.where((_unwalked(column, dialect) if terms else column) == wanted)
    query = query.where(*_found(search.finding))
    if search.since is not None:
        query = query.where(key >= first_at(search.since), bisections.c.id >= first_at(search.since))
    if search.until is not None:
        query = query.where(key < first_at(search.until), bisections.c.id < first_at(search.until))
    if cursor is None:
        return query
    # Both sides of the join, since PostgreSQL may read either index.
    sides = (key, bisections.c.id)
    return query.where(*(side > cursor if search.oldest_first else side < cursor for side in sides))


def _found(finding: Finding | None) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a finding, as the partial indexes have them."""
    match finding:
        case "changed":
            return (bisections.c.points.is_not(None),)
        case "unchanged":
            return (bisections.c.points.is_(None), bisections.c.status == literal_column("'done'"))
        case "none":
            return (bisections.c.status == "failed",)
    return ()


def _unwalked(column: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Keep SQLite, which has no statistics before ANALYZE, from the column's index: the term's index is better."""
    return UnaryExpression(column, operator=custom_op("+")) if dialect.name == "sqlite" else column


def changes_query(package: str, release: str, viewer: Viewer, cursor: str | None) -> Select[Any]:
    names = [name for name in StoredChange.__dataclass_fields__ if name != "probe"]
    query = select(*(changes.c[name] for name in names), bisections.c.probe)
    query = query.join(bisections, bisections.c.id == changes.c.bisection_id)
    query = query.where(changes.c.package == package, changes.c.after == release)
    if cursor is not None:
        query = query.where(changes.c.bisection_id < cursor)
    return _visible(query, viewer).order_by(changes.c.bisection_id.desc(), changes.c.position)


def _visible(query: Select[Any], viewer: Viewer) -> Select[Any]:
    if viewer.sees_all:
        return query
    mine: ColumnElement[bool] = false() if viewer.owner is None else bisections.c.owner == viewer.owner
    return query.where(or_(bisections.c.public == true(), mine))


def _terms_of(search: Search) -> tuple[str, ...]:
    words = words_of(search.text)
    if search.text.strip() and not words:
        raise BadInput(f"{search.text!r} has no word to search for; enter one of at least 3 letters", field="text")
    if len(words) > _MOST_WORDS:
        raise BadInput(f"{len(words)} words to search for, more than {_MOST_WORDS}; remove some", field="text")
    terms = [*map(word_term, words), *map(outcome_term, search.outcomes)]
    if search.changed_in is not None:
        of_package, of_any = change_terms(search.package or "", search.changed_in)
        terms.append(of_package if search.package else of_any)
    return tuple(dict.fromkeys(terms))


def _rarest_first(connection: Connection, terms: Iterable[str]) -> tuple[str, ...]:
    """Order terms by how many bisections have them, counted up to a limit: the rarest index is read."""

    def bounded_count(term: str) -> int:
        # As a range in the order of the primary key; otherwise PostgreSQL reads the table for a common word.
        some = select(literal(1)).where(search_terms.c.term.between(term, term))
        some = some.order_by(search_terms.c.term, search_terms.c.bisection_id).limit(_COMMON)
        return connection.scalar(select(func.count()).select_from(some.subquery())) or 0

    ordered = list(terms)
    return tuple(sorted(ordered, key=bounded_count)) if len(ordered) > 1 else tuple(ordered)


def _page(rows: list[Bisection], limit: int) -> Page[Bisection]:
    kept = tuple(rows[:limit])
    return Page(kept, kept[-1].id if len(rows) > limit else None)

"""Explanations of changes, and the runs of hypotheses: facts, appended once and never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import IntegrityError

from service.bisection.outcomes import RunReport
from service.errors import NotFound
from service.storage.connected import Connected
from service.storage.records import ExplanationRequest, StoredExplanation, report_as_json, report_from_json
from service.storage.tables import documents, explanation_requests, explanation_uses, explanations, hypothesis_runs


class Explanations(Connected):
    @contextmanager
    def _writing_of_what_is_there(self) -> Iterator[Connection]:
        """Write something that belongs to a bisection; NotFound where that was deleted meanwhile."""
        try:
            with self._writing() as connection:
                yield connection
        except IntegrityError as error:
            raise NotFound("the bisection was deleted meanwhile.") from error

    def put_explanation(
        self,
        key: str,
        identity: Mapping[str, Any],
        found: Mapping[str, Any],
        fingerprint: str | None = None,
        *,
        used_by: tuple[str, int] | None = None,
    ) -> None:
        """Keep what is known of a cause so far, in place of what was known before.

        Args:
            key: digest of the identity.
            identity: all that the cause depends on.
            found: the cause.
            fingerprint: of package and culprits, once they are confirmed.
            used_by: a bisection, and the change of its verdict (0-based) that it explains.

        Raises:
            NotFound: that bisection was deleted; nothing is kept then.
        """
        row = {"key": key, "identity": dict(identity), "found": dict(found), "fingerprint": fingerprint}
        uses = select(explanation_uses.c.bisection_id).where(explanation_uses.c.explanation_key == key)
        with self._writing_of_what_is_there() as connection:
            connection.execute(self._upsert(explanations, {**row, "updated_at": self._now()}))
            if used_by is not None:
                bisection_id, change = used_by
                use = {"bisection_id": bisection_id, "change": change, "explanation_key": key}
                connection.execute(self._upsert(explanation_uses, use))
            # Answers that were rendered before do not say it.
            connection.execute(delete(documents).where(documents.c.bisection_id.in_(uses)))

    def explanation(self, key: str) -> StoredExplanation | None:
        with self._reading() as connection:
            row = connection.execute(select(explanations).where(explanations.c.key == key)).first()
        return None if row is None else StoredExplanation(row.key, row.updated_at, row.found, row.fingerprint)

    def explanations_of(self, bisection_id: str) -> dict[int, StoredExplanation]:
        """Return what is known of the causes of a bisection's changes, by their place in the verdict, 0-based."""
        query = (
            select(explanation_uses.c.change, explanations)
            .join(explanations, explanations.c.key == explanation_uses.c.explanation_key)
            .where(explanation_uses.c.bisection_id == bisection_id)
            .order_by(explanation_uses.c.change)
        )
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return {row.change: StoredExplanation(row.key, row.updated_at, row.found, row.fingerprint) for row in rows}

    def like_explanations(self, fingerprint: str) -> Sequence[tuple[str, int]]:
        """Return the changes with the same cause: bisections and places in their verdicts, newest first."""
        query = (
            select(explanation_uses.c.bisection_id, explanation_uses.c.change)
            .join(explanations, explanations.c.key == explanation_uses.c.explanation_key)
            .where(explanations.c.fingerprint == fingerprint)
            .order_by(explanation_uses.c.bisection_id.desc(), explanation_uses.c.change)
        )
        with self._reading() as connection:
            return [(row.bisection_id, row.change) for row in connection.execute(query)]

    def hypothesis_run(self, key: str, repeat: int) -> RunReport | None:
        """Return the n-th stored run of a hypothesis."""
        query = select(hypothesis_runs.c.report).where(hypothesis_runs.c.key == key, hypothesis_runs.c.repeat == repeat)
        with self._reading() as connection:
            report = connection.scalar(query)
        return None if report is None else report_from_json(report)

    def append_hypothesis_run(
        self, explanation: str, key: str, repeat: int, identity: Mapping[str, Any], report: RunReport
    ) -> None:
        """Keep a run of a hypothesis; the first one stays if somebody was faster.

        Args:
            explanation: key of the explanation that it is for, which must be there.
            key: digest of the identity.
            repeat: which run of the hypothesis, 0-based.
            identity: all that the answer depends on.
            report: what happened.

        Raises:
            NotFound: the explanation was deleted with the last bisection that used it.
        """
        row = {
            "key": key,
            "repeat": repeat,
            "explanation_key": explanation,
            "created_at": self._now(),
            "identity": dict(identity),
            "report": report_as_json(report),
        }
        with self._writing_of_what_is_there() as connection:
            connection.execute(self._insert_unless_there(hypothesis_runs, row))

    def request_explanation(self, bisection_id: str, budget: int) -> None:
        """Ask for the causes of a bisection's changes, once; a later request replaces the budget."""
        row = {"bisection_id": bisection_id, "asked_at": self._now(), "budget": budget}
        with self._writing_of_what_is_there() as connection:
            connection.execute(self._upsert(explanation_requests, row))

    def requested_explanations(self) -> Sequence[ExplanationRequest]:
        """Return what is asked for and not yet done, the longest waiting first."""
        query = select(explanation_requests).order_by(explanation_requests.c.asked_at)
        with self._reading() as connection:
            return [ExplanationRequest(row.bisection_id, row.budget) for row in connection.execute(query)]

    def is_explanation_requested(self, bisection_id: str) -> bool:
        query = select(explanation_requests.c.bisection_id).where(explanation_requests.c.bisection_id == bisection_id)
        with self._reading() as connection:
            return connection.scalar(query) is not None

    def end_explanation_request(self, bisection_id: str) -> None:
        """Note that nothing more is to be done for a request."""
        mine = explanation_requests.c.bisection_id == bisection_id
        with self._writing() as connection:
            connection.execute(delete(explanation_requests).where(mine))


def explanations_used_by(connection: Connection, bisection_id: str) -> list[str]:
    query = select(explanation_uses.c.explanation_key).distinct().where(explanation_uses.c.bisection_id == bisection_id)
    return list(connection.scalars(query.order_by(explanation_uses.c.explanation_key)))


def delete_unused_explanations(connection: Connection, keys: Sequence[str]) -> None:
    """Delete explanations that no bisection uses, with the runs of their hypotheses."""
    for key in keys:
        connection.execute(select(explanations.c.key).where(explanations.c.key == key).with_for_update())
        used = select(explanation_uses.c.change).where(explanation_uses.c.explanation_key == key).exists()
        connection.execute(delete(explanations).where(explanations.c.key == key, ~used))

"""Answers as JSON."""

from __future__ import annotations

from typing import Any

from service.bisection.outcomes import Answer, Lost, Outcome, Refused, Untestable
from service.coordination.laboratory import Measurement


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return what a run means as JSON: its kind, and the outcome or the reason."""
    match answer:
        case Outcome(label=label, detail=detail):
            return {"answer": "outcome", "outcome": label, "reason": detail}
        case Untestable(reason=reason):
            return {"answer": "untestable", "outcome": None, "reason": reason}
        case Refused(message=message):
            return {"answer": "refused", "outcome": None, "reason": message}
        case Lost(reason=reason):
            return {"answer": "lost", "outcome": None, "reason": reason}


def observation_event(measurement: Measurement) -> dict[str, Any]:
    """Return an answer as the JSON of the event stream and the API."""
    report = measurement.report
    return {
        "release": measurement.release,
        "variant": measurement.track,
        **answer_json(measurement.answer),
        "reused": measurement.reused,
        "observation": measurement.observation_id,
        "ending": report.ending,
        "runner": report.runner,
        "seconds": dict(report.seconds),
    }

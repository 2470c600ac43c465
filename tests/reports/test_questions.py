"""What was asked, as the page of a result lists it."""

from __future__ import annotations

from service.coordination.intake import BisectionRequest
from service.reports.questions import question_lines


def test_everything_that_shaped_the_answer_is_listed_and_nothing_else() -> None:
    request = BisectionRequest.model_validate(
        {
            "snippet": "x = 1",
            "probe": "script",
            "releases": "1.9..1.14",
            "parameters": {"pattern": "loss = 0", "tolerance": 0.001, "expect": {"loss": 0.3}},
            "with": ["pandas"],
            "python": "3.6",
            "as_of": "2019-01-01",
            "input_shape": [28, 28],
            "why": False,
            "command": ["pytest", "a test.py"],
        }
    ).model_dump(mode="json", exclude={"snippet"})
    lines = dict(question_lines(request))
    assert lines["Pattern"] == "loss = 0"
    assert lines["Tolerance"] == "0.001"
    assert lines["Expect"] == "loss = 0.3"
    assert lines["Packages beside it"] == "pandas"
    assert (lines["Python"], lines["Packages as of"]) == ("3.6", "2019-01-01")
    assert lines["Input shape"] == "28, 28"
    assert lines["Causes"] == "not searched for"
    assert lines["Command"] == "pytest 'a test.py'"
    assert not {"Resolution", "Training", "Stored runs", "Files"} & lines.keys()


def test_a_plain_question_is_short() -> None:
    plain = BisectionRequest(snippet="x = 1").model_dump(mode="json", exclude={"snippet"})
    assert [label for label, _ in question_lines(plain)] == [
        "Package",
        "Releases",
        "Probe",
        "Hardware",
        "Patch releases",
    ]

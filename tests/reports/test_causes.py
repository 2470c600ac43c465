"""What is told of a cause: definitions, links, workarounds, and what is not finished."""

from __future__ import annotations

from typing import Any

from service.cli.why import card_lines
from service.reports.causes import cause_cards, cause_markdown
from service.reports.links import history_command, source_url

DEFINITION: dict[str, Any] = {
    "module": "tensorflow.python.keras.engine.sequential",
    "name": "Sequential.build",
    "file": "tensorflow/python/keras/engine/sequential.py",
    "line": 211,
    "end": 225,
    "kind": "text",
    "package": "tensorflow",
    "release": "1.11.0",
    "licence": "Apache 2.0",
    "digest": "5a70",
    "diff": "--- before\n+++ after\n@@ -1 +1 @@\n-    if self.inputs:\n+    if self._is_graph_network:",
    "note": "without it the new behaviour stays",
}
CAUSE: dict[str, Any] = {
    "axis": "release",
    "package": {"name": "tensorflow", "before": "1.10.1", "after": "1.11.0"},
    "definitions": [DEFINITION],
    "stages": [{"name": "definitions", "said": "With the text that …", "budget": 60, "runs": 30}],
    "unfinished": {"switches": "the engine went away"},
}
CHANGE: dict[str, Any] = {
    "kind": "introduced",
    "line": "mainline",
    "before": "1.10.1",
    "after": "1.11.0",
    "old": "drops",
    "new": "never-drops",
    "cause": CAUSE,
}


def verdict(**cause: Any) -> dict[str, Any]:
    return {"changes": [{**CHANGE, "cause": {**CAUSE, **cause}}]}


def test_a_card_names_the_definition_with_its_lines_its_licence_and_the_way_to_its_commits() -> None:
    (card,) = cause_cards(verdict())
    assert card.title == "Introduced in 1.11.0: drops in 1.10.1, never-drops in 1.11.0"
    (culprit,) = card.culprits
    assert (culprit.name, culprit.place) == ("Sequential.build", f"{DEFINITION['file']}:211")
    assert culprit.url == f"https://github.com/tensorflow/tensorflow/blob/v1.11.0/{DEFINITION['file']}#L211-L225"
    assert culprit.history == f"git log -L 211,225:{DEFINITION['file']} v1.10.1..v1.11.0"
    assert card.facts == (
        "It comes from the release itself: tensorflow 1.10.1 to 1.11.0.",
        "With the text that …",
        "Not finished, switches: the engine went away. `tfbisect why` goes on.",
    )


def test_a_behaviour_without_a_name_is_told_by_its_aspect() -> None:
    change = {**CHANGE, "kind": "changed", "old": "as in 1.10.1", "new": "as in 1.11.0", "aspect": "prints"}
    (card,) = cause_cards({"changes": [change]})
    assert card.title == "Changed in 1.11.0: prints"


def test_a_terminal_shows_the_lines_that_differ_only_if_asked() -> None:
    (card,) = cause_cards(verdict())
    short, long = ("\n".join(line.plain for line in card_lines(card, diff=diff)) for diff in (False, True))
    assert "Sequential.build" in short
    assert "_is_graph_network" not in short
    assert "+    if self._is_graph_network:" in long
    assert "Apache 2.0" in long


def test_a_report_has_the_diff_as_a_block_and_no_markup_of_its_text() -> None:
    text = cause_markdown(verdict(definitions=[{**DEFINITION, "name": "`x`<b>", "diff": "+ ```"}]))
    assert "````diff" in text
    assert "<b>" not in text.replace("``x`<b>", "").replace("`` `x`<b> ``", "")


def test_a_change_whose_cause_nobody_looked_for_has_no_card() -> None:
    assert cause_cards({"changes": [{**CHANGE, "cause": {"axis": "release", "package": None}}]}) == ()
    assert cause_cards({"changes": [{name: value for name, value in CHANGE.items() if name != "cause"}]}) == ()
    assert cause_markdown({}) == ""


def test_tensorflow_installed_elsewhere_is_found_in_its_repository_and_an_unknown_project_has_no_address() -> None:
    file = "tensorflow_core/python/keras/engine/training.py"
    assert "/blob/v2.0.0/tensorflow/python/keras/" in source_url("tensorflow", "2.0.0", file, 1, 2)
    assert "tensorflow/python" in history_command("tensorflow", "1.14.0", "2.0.0", file, (1, 2))
    assert source_url("unheard-of", "1.0", "x.py", 1, 2) == ""

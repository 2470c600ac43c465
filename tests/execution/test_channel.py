"""What comes out of a run is untrusted: it is bounded, parsed, cleaned, and never raises."""

import json
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from service.execution.channel import MESSAGE_BYTES, KeptOutput, Transcript, clean

READY = {"event": "ready", "import_seconds": 1.5, "framework": "tensorflow", "version": "1.12.0", "python": "3.6.15"}
MEASURED = {"event": "result", "result": {"kind": "measured", "measurements": {"loss": [1, 2.5]}}, "probe_seconds": 0.5}


def line(event: Any) -> bytes:
    return json.dumps(event).encode() + b"\n"


def transcript_of(*chunks: bytes, flood_bytes: int = 10**9) -> Transcript:
    transcript = Transcript(output_bytes=1000, flood_bytes=flood_bytes)
    for chunk in chunks:
        transcript.add_protocol(chunk)
    return transcript


def test_a_start_and_a_result_are_taken_as_they_are() -> None:
    said = transcript_of(line(READY), line(MEASURED))
    assert said.ready is not None
    assert (said.ready.version, said.ready.import_seconds) == ("1.12.0", 1.5)
    assert said.result == {"kind": "measured", "measurements": {"loss": [1, 2.5]}}
    assert (said.probe_seconds, said.fault) == (0.5, "")


def test_a_line_may_come_in_pieces_of_one_byte() -> None:
    whole = line(READY) + line(MEASURED)
    said = transcript_of(*[whole[index : index + 1] for index in range(len(whole))])
    assert said.result is not None
    assert said.fault == ""


@pytest.mark.parametrize(
    "words",
    [
        b"not json\n",
        b"\xff\xfe\x00\n",
        b"[]\n",
        b"null\n",
        b"\n",
        line({"event": "ready", "import_seconds": -1}),
        line({"event": "ready", "version": "9" * 1000}),
        line({"event": "unknown"}),
        line({"event": "result"}),
        line({"event": "result", "result": {"kind": "invented"}}),
        line({"event": "result", "result": {"kind": "raised", "exception": "<script>alert(1)</script>"}}),
        line({"event": "result", "result": {"kind": "refused", "message": {"a": 1}}}),
        line({"event": "result", "result": {"kind": "measured", "measurements": [1]}}),
        b"[" * 100_000 + b"\n",
        b'{"a":' * 40 + b"1" + b"}" * 40 + b"\n",
        b"1" * 10_000 + b"\n",
        b"x" * (MESSAGE_BYTES + 1) + b"\n",
        b"x" * (MESSAGE_BYTES + 1),
    ],
)
def test_what_is_no_event_of_the_protocol_is_named_as_tampering(words: bytes) -> None:
    said = transcript_of(words)
    assert said.fault
    assert said.result is None


@pytest.mark.parametrize("second", [READY, MEASURED])
def test_what_follows_a_result_is_named_as_tampering(second: dict[str, Any]) -> None:
    said = transcript_of(line(MEASURED), line(second))
    assert said.fault
    assert said.result is not None


def test_nothing_is_taken_apart_after_the_first_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []
    original = Transcript._take

    def counting(transcript: Transcript, words: bytes) -> None:
        taken.append(words)
        original(transcript, words)

    monkeypatch.setattr(Transcript, "_take", counting)
    said = transcript_of(b"\n" * 100_000, line(MEASURED), b"null\n" * 100_000)
    assert taken == [b""]
    assert said.fault
    assert said.result is None


def test_a_line_that_comes_in_pieces_is_searched_once() -> None:
    class Piece(bytes):
        """Counts how much of what came is looked through."""

        searched = 0

        def split(self, *limits: Any) -> list[bytes]:
            Piece.searched += len(self)
            return super().split(*limits)

    whole = line({**MEASURED, "packages": {f"package{number}": "1.0" for number in range(1000)}})
    said = transcript_of(*[Piece(whole[index : index + 10]) for index in range(0, len(whole), 10)])
    assert said.result is not None
    assert Piece.searched == len(whole)


def test_all_lines_together_are_bounded() -> None:
    said = transcript_of(line(READY), *[b'"' + b"x" * (MESSAGE_BYTES // 2)] * 9)
    assert said.fault


def test_a_message_without_end_is_not_kept_in_memory() -> None:
    said = transcript_of(*[b"x" * MESSAGE_BYTES] * 20)
    assert len(said._line) <= MESSAGE_BYTES


def test_reading_stops_at_the_flood_limit_on_either_stream() -> None:
    assert transcript_of(b"x" * 101, flood_bytes=100).flooded
    quiet = Transcript(output_bytes=10, flood_bytes=100)
    quiet.add_output(b"x" * 100)
    assert not quiet.flooded
    quiet.add_output(b"x")
    assert quiet.flooded


def test_output_keeps_head_and_tail_and_counts_what_it_cut() -> None:
    kept = KeptOutput(10)
    for digit in b"0123456789abcdefghijklmnopqrstuvwxyz":
        kept.add(bytes([digit]))
    assert kept.text() == "01234\n[… 26 bytes cut …]\nvwxyz"


def test_output_within_the_limit_is_kept_whole() -> None:
    kept = KeptOutput(10)
    kept.add(b"0123456")
    kept.add(b"789")
    assert kept.text() == "0123456789"


def test_terminal_commands_nul_and_broken_text_do_not_come_through() -> None:
    kept = KeptOutput(1000)
    kept.add(b"\x1b[2Jred\x00 \xff caf\xc3\xa9 50%\x08\x08\r\n\x9b")
    assert kept.text() == "\ufffd[2Jred\ufffd \ufffd café 50%\r\n\ufffd"


def test_numbers_that_json_does_not_have_become_their_names() -> None:
    assert clean(json.loads("[NaN, Infinity, -Infinity, 1e999, 0.5]")) == ["nan", "inf", "-inf", "inf", 0.5]


def test_lone_surrogates_are_replaced_in_names_and_values() -> None:
    assert clean(json.loads(r'{"\ud800": "\udfff x"}')) == {"\ufffd": "\ufffd x"}


@given(st.lists(st.binary(max_size=200)))
def test_no_bytes_whatever_raise_or_turn_into_a_result_that_cannot_be_stored(chunks: list[bytes]) -> None:
    said = transcript_of(*chunks)
    for chunk in chunks:
        said.add_output(chunk)
    json.dumps(said.result, allow_nan=False)
    said.output.encode("utf-8")
    assert "\0" not in said.output


JSON_VALUES = st.recursive(
    st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(JSON_VALUES)
def test_any_clean_value_can_be_stored_as_strict_json(value: Any) -> None:
    try:
        cleaned = clean(value)
    except ValueError:
        reject()  # nested too deep
    text = json.dumps(cleaned, allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert "\\u0000" not in text

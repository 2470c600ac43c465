"""Whatever a snippet reports can be stored, and is read back as it was."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from service.json_text import digest_of, dumps, loads
from service.storage.engine import make_engine, transaction
from service.storage.exchange import export_lines, import_lines
from service.storage.observations import observation_key
from service.storage.store import Store
from tests.fuzzing import at_most, within_budget
from tests.storage.worlds import IDENTITY, REPORT, identity

MARKS = st.sampled_from(["$number", "$$number", "$$$number", "$", "$numbers", "x$number", "number"])
TEXTS = st.one_of(
    st.text(st.characters(categories=["L", "N", "P", "Cs", "Cc"]), max_size=8),
    MARKS,
    st.sampled_from(["nan", "inf", "-inf", "0x10", '{"$number":"nan"}', '$number":', "\0", "\ud800"]),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([2**14_000, -(2**14_000)]),
        st.floats(),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Compare two JSON values; nan is itself, and 1 is not 1.0."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


@at_most(400)
@given(VALUES)
@within_budget
def test_every_json_value_is_read_back_as_it_was(value: Any) -> None:
    assert same(loads(dumps(value)), value)
    assert digest_of(loads(dumps(value))) == digest_of(value)


@pytest.mark.parametrize("digits", [4_200, 4_300, 5_000, 100_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_of_any_length_is_read_back(digits: int, sign: int) -> None:
    value = {"count": [sign * 10**digits]}
    read = loads(dumps(value))
    assert read["count"][0] - value["count"][0] == 0


@at_most(25)
@given(value=VALUES, number=st.integers(0, 10**9))
@within_budget
def test_every_report_is_read_back_from_the_database(store: Store, value: Any, number: int) -> None:
    report = replace(REPORT, result={"reported": value})
    asked = identity("1.0", parameters={"number": number, "given": value})
    kept = store.append_observation(asked, 0, report)
    assert same(kept.identity.parameters, asked.parameters)
    (found,) = store.observations([observation_key(asked)])[kept.key]
    assert same(found.report.result, kept.report.result)
    assert found.key == kept.key


@pytest.mark.parametrize("reported", [[], {}, None, 0, "nan", "0x10", {"$number": "inf"}])
def test_a_snippet_may_report_what_the_store_writes_numbers_as(store: Store, reported: Any) -> None:
    result = {"reports": {"x": {"$number": reported}, "y": math.inf}}
    store.append_observation(IDENTITY, 0, replace(REPORT, result=result))
    found = store.observation(observation_key(IDENTITY), 0)
    assert found is not None
    assert found.report.result == result


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ('{"$number":"nan"}', math.nan),
        ('{"loss":[{"$number":"-inf"}]}', {"loss": [-math.inf]}),
        ('{"$number":[]}', {"$number": []}),
        ('{"$number":"one"}', {"$number": "one"}),
        ('{"$number":"nan","more":1}', {"$number": "nan", "more": 1}),
    ],
)
def test_what_an_earlier_version_stored_stays_readable(store: Store, url: str, stored: str, read: Any) -> None:
    assert same(loads(stored), read)
    store.append_observation(IDENTITY, 0, REPORT)
    engine = make_engine(url)
    with transaction(engine, writes=True) as connection:
        report = f'{{"ending":"answered","result":{stored}}}'
        connection.execute(text("UPDATE observations SET report = :report"), {"report": report})
    engine.dispose()
    found = store.observation(observation_key(IDENTITY), 0)
    assert found is not None
    assert same(found.report.result, read)


def test_numbers_and_names_of_every_kind_travel_with_an_export(store: Store, url: str, empty_url: str) -> None:
    result = {"$number": "nan", "other": [math.inf, 10**5000, {"$number": []}, {"$$number": "\0\ud800"}]}
    store.append_observation(IDENTITY, 0, replace(REPORT, result=result))
    lines = list(export_lines(url))
    import_lines(empty_url.replace("store.", "other."), lines)
    with Store.open(empty_url.replace("store.", "other.")) as other:
        found = other.observation(observation_key(IDENTITY), 0)
        assert found is not None
        assert found.report.result == result


def test_digests_of_ordinary_values_stay_as_they_were() -> None:
    value = {"loss": [0.5, math.nan], "name": "x", "numbers": {"a": 1}}
    assert digest_of(value) == "sha256:2272370b1d93d6c2702220d2d23b04ceeef4e54f9a662d1db481bae320a5d868"

"""The faults that take seconds, as ordinary tests; `make faults` runs all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults import databases, kills, surroundings
from tests.faults.table import Fault, LeftOut

pytestmark = pytest.mark.local
_STACK = ExitStack()
FAST = [fault for fault in [*kills.faults(), *databases.faults(), *surroundings.faults(_STACK)] if fault.fast]


@pytest.fixture(scope="module", autouse=True)
def shared_services() -> Iterator[None]:
    with _STACK:
        yield


@pytest.mark.parametrize("fault", FAST, ids=lambda fault: f"{fault.group}: {fault.name}")
def test_a_fault_does_no_harm(fault: Fault) -> None:
    try:
        findings = fault.run()
    except LeftOut as missing:
        pytest.skip(str(missing))
    assert not findings.any

"""A few seconds of the soak, without a claim about time."""

from __future__ import annotations

import pytest

from tests.faults.kills import small_world
from tests.soak.__main__ import UNLIMITED
from tests.soak.load import soak


@pytest.mark.local
def test_twenty_clients_get_right_verdicts_and_leave_nothing_behind() -> None:
    with small_world() as made:
        made.settings.update(UNLIMITED)
        seen, _ = soak(made.serve(repeats_runs=True), 6)
        made.close()
        assert not seen.wrong
        assert seen.ends["done"]
        assert not made.processes() + made.homes()

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from service.storage.ulid import made_at, new_ulid


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    ids = [new_ulid() for _ in range(5000)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", one) for one in ids)


def test_threads_never_get_one_id_twice() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: new_ulid(), range(5000)))
    assert len(set(ids)) == 5000


def test_an_id_says_when_it_was_made() -> None:
    before = datetime.now(UTC)
    assert timedelta(milliseconds=-2) <= made_at(new_ulid()) - before <= timedelta(minutes=1)

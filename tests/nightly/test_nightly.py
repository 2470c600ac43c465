from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import threading
from pathlib import Path

from sqlalchemy import func, select

from service.storage.engine import make_engine, transaction
from service.storage.store import Store
from service.storage.tables import observations
from tests.nightly.world import SECRET, Behaviour, NightlyHouse, Site

SLOW_PASS = """
import sys, time
from pathlib import Path
from tests.nightly.world import Behaviour, NightlyHouse, Site

class Slow(Behaviour):
    def __call__(self, request, cancelled):
        time.sleep(0.3)
        report = super().__call__(request, cancelled)
        print(request.target.release, flush=True)
        return report

house = NightlyHouse(Path(sys.argv[1]), Site(address=sys.argv[2]), Slow(broken_from="2.3"))
house.make_pass()
"""


def statuses(house: NightlyHouse) -> list[str]:
    return [row.status for row in house.make_pass().rows]


def test_a_release_in_which_dropout_stops_dropping_is_named_and_told_once(
    house: NightlyHouse, site: Site, behaviour: Behaviour
) -> None:
    assert statuses(house) == ["first"]
    behaviour.broken_from = "2.4"
    behaviour.asked.clear()
    site.publish("2.4.0")
    summary = house.make_pass()
    assert (summary.exit_code, [row.status for row in summary.rows]) == (10, ["changed"])
    assert "introduced in 2.4.0" in summary.rows[0].message
    assert set(behaviour.asked) <= {"2.3.0", "2.4.0"}
    (message,) = site.messages
    assert message["event"] == "verdict.changed"
    assert [change["after"] for change in message["difference"]["appeared"]] == ["2.4.0"]
    behaviour.asked.clear()
    assert house.make_pass().exit_code == 0
    assert (behaviour.asked, len(site.received)) == ([], 1)


def test_a_webhook_is_signed_over_time_and_body(house: NightlyHouse, site: Site, behaviour: Behaviour) -> None:
    house.make_pass()
    behaviour.broken_from = "2.4"
    site.publish("2.4.0")
    house.make_pass()
    ((headers, body),) = site.received
    timestamp, _, given = headers["X-Tfbisect-Signature"].removeprefix("t=").partition(",v1=")
    expected = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert given == expected
    assert headers["X-Tfbisect-Delivery"] == json.loads(body)["id"]


def test_a_receiver_that_is_down_for_a_moment_gets_one_message(
    house: NightlyHouse, site: Site, behaviour: Behaviour
) -> None:
    house.make_pass()
    behaviour.broken_from = "2.4"
    site.publish("2.4.0")
    site.answers = [503]
    assert house.make_pass().messages == {"delivered": 1}
    (delivery,) = house.store.deliveries()
    assert [attempt.status_code for attempt in house.store.delivery_log(delivery.id)] == [503, 200]
    assert len({headers["X-Tfbisect-Delivery"] for headers, _ in site.received}) == 1


def test_a_new_release_that_behaves_is_run_and_nobody_is_told(
    house: NightlyHouse, site: Site, behaviour: Behaviour
) -> None:
    house.make_pass()
    behaviour.asked.clear()
    site.publish("2.4.0")
    assert statuses(house) == ["unchanged"]
    assert (set(behaviour.asked), site.received) == ({"2.4.0"}, [])


def test_a_new_patch_release_is_run_though_nothing_changes_beside_it(
    house: NightlyHouse, site: Site, behaviour: Behaviour
) -> None:
    house.make_pass()
    behaviour.asked.clear()
    site.publish("2.1.1")
    assert statuses(house) == ["unchanged"]
    assert "2.1.1" in behaviour.asked


def test_a_new_recipe_is_run_anew(house: NightlyHouse, behaviour: Behaviour) -> None:
    house.make_pass()
    behaviour.asked.clear()
    behaviour.recipe = "2"
    assert "rebuilt" in house.make_pass().rows[0].message
    assert {"2.0.0", "2.3.0"} <= set(behaviour.asked)


def test_a_release_that_is_yanked_is_left_out_and_nobody_is_told(
    house: NightlyHouse, site: Site, behaviour: Behaviour
) -> None:
    house.make_pass()
    site.publish("2.3.0", yanked=True)
    summary = house.make_pass()
    assert [row.status for row in summary.rows] == ["unchanged"]
    assert "yanked 2.3.0" in summary.rows[0].message
    assert (house.make_pass().rows[0].message, site.received) == ("nothing new", [])


def test_a_watch_that_is_blind_for_three_nights_is_told_once(
    house: NightlyHouse, site: Site, behaviour: Behaviour
) -> None:
    house.make_pass()
    behaviour.untestable = frozenset({"2.4.0"})
    site.publish("2.4.0")
    assert [statuses(house) for _ in range(5)] == [["blind"]] * 5
    assert [message["event"] for message in site.messages] == ["watch.blind"]


def test_a_watch_that_fails_does_not_stop_the_others(house: NightlyHouse, site: Site) -> None:
    folder = house.settings.watches_dir
    assert folder is not None
    (folder / "a-bad.toml").write_text("snippet = 'missing.py'")
    text = (folder / "team.toml").read_text()
    (folder / "b-empty-range.toml").write_text(text.replace("2.0..", "7.0.."))
    summary = house.make_pass()
    assert [row.status for row in summary.rows] == ["failed", "failed", "first"]
    assert summary.exit_code == 3
    assert "no release in '7.0..'" in summary.rows[1].message


def test_an_edited_watch_begins_anew(house: NightlyHouse, behaviour: Behaviour) -> None:
    house.make_pass()
    folder = house.settings.watches_dir
    assert folder is not None
    model = folder / "model.py"
    model.write_text(model.read_text() + "# edited\n")
    assert statuses(house) == ["first"]


def test_a_spent_budget_postpones_and_the_next_pass_goes_on(tmp_path: Path, site: Site, behaviour: Behaviour) -> None:
    poor = NightlyHouse(tmp_path, site, behaviour, nightly_free_bytes=10**18)
    poor.watch(site)
    assert poor.make_pass().postponed == ("team · tensorflow",)
    poor.close()
    rich = NightlyHouse(tmp_path, site, behaviour)
    assert statuses(rich) == ["first"]
    rich.close()


def test_two_passes_at_once_do_not_collide(house: NightlyHouse, behaviour: Behaviour) -> None:
    house.store.acquire_lease("nightly", "somebody else", 60)
    summary = house.make_pass()
    assert (summary.busy, summary.rows, behaviour.asked) == ("somebody else", (), [])
    assert summary.exit_code == 0


def test_a_killed_pass_is_finished_by_the_next_with_no_observation_twice(
    tmp_path: Path, site: Site, behaviour: Behaviour
) -> None:
    site.publish(*(f"2.{minor}.0" for minor in range(4, 12)))
    behaviour.broken_from = "2.3"
    house = NightlyHouse(tmp_path, site, behaviour)
    house.watch(site)
    command = [sys.executable, "-c", SLOW_PASS, str(tmp_path), site.address]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    ran = [killed.stdout.readline().strip() for _ in range(4)]
    killed.kill()
    ran += killed.communicate()[0].split()
    _let_leases_run_out(house.store)
    assert statuses(house) == ["first"]
    together = [*ran, *behaviour.asked]
    house.close()
    engine = make_engine(house.settings.store_url)
    with transaction(engine, writes=False) as connection:
        stored = connection.scalar(select(func.count()).select_from(observations))
    engine.dispose()
    assert stored is not None
    # What the dying process had in its two hands is run again, and nothing else.
    assert stored <= len(together) <= stored + 2


def _let_leases_run_out(store: Store) -> None:
    """Do what time does: the dead process holds nothing any more."""
    holder = store.lease_holder("nightly")
    assert holder is not None
    store.release_lease("nightly", holder)
    for bisection in store.bisections().rows:
        owner = holder.rpartition(":")[0]
        assert store.requeue(bisection.id, owner)


def test_a_pass_on_another_thread_waits_for_nobody(house: NightlyHouse) -> None:
    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(statuses(house)))
    thread.start()
    thread.join()
    assert found == [["first"]]

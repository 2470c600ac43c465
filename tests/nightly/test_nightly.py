from __future__ import annotations

import hashlib
import hmac
import json
import threading
from dataclasses import replace

from service.coordination.intake import BisectionRequest
from service.nightly.passes import question_of
from tests.nightly.world import SECRET, Behaviour, NightlyHouse, Site
from tests.web.world import TUTORIAL


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


def test_a_watch_of_official_images_looks_at_the_environments_that_it_runs(
    house: NightlyHouse, site: Site, behaviour: Behaviour
) -> None:
    assert house.settings.watches_dir is not None
    path = house.settings.watches_dir / "team.toml"
    path.write_text(path.read_text().replace('releases = "2.0.."', 'releases = "2.0.."\nimage_source = "official"'))
    assert statuses(house) == ["first"]
    site.publish("2.4.0")
    assert statuses(house) == ["unchanged"]  # what was known is looked at, and taken over
    assert behaviour.sources == {"official"}


def test_a_night_asks_again_where_a_probe_that_is_asked_beside_has_changed(house: NightlyHouse) -> None:
    case = house.intake.case(BisectionRequest(snippet=TUTORIAL, releases="2.0.."))
    other = replace(house.probes["dropout"], digest="sha256:another")
    changed = tuple(replace(track, probe=other) if track.is_aspect else track for track in case.tracks)
    assert question_of(replace(case, tracks=changed)) != question_of(case)


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


def test_a_pass_on_another_thread_waits_for_nobody(house: NightlyHouse) -> None:
    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(statuses(house)))
    thread.start()
    thread.join()
    assert found == [["first"]]


def test_a_bisection_that_is_submitted_to_be_watched_is_repeated(house: NightlyHouse) -> None:
    request = BisectionRequest(snippet=TUTORIAL, releases="2.0..", watch=True)
    submitted = house.submission.submit(request, public=False, owner="01TOKEN")
    assert house.store.watch(f"bisection-{submitted.id}").owner == "01TOKEN"
    assert statuses(house) == ["first", "first"]

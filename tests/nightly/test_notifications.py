"""Messages: what they say, to whom they go, and how often they are tried."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from service.nightly.notifications import BACKOFF_SECONDS, Postage, Sender, messages_for, slack_payload
from service.nightly.watches import watch_from
from service.storage.store import Store
from service.storage.watch_records import Delivery, NewWatchRun
from tests.nightly.mail_server import certificate_for, mail_server
from tests.nightly.relived_index import Clock
from tests.nightly.world import SECRET, Site
from tests.web.world import TUTORIAL

NIGHT = datetime(2026, 6, 1, 3, 30, tzinfo=UTC)
SAID = "introduced in 2.4.0: drops in 2.3.0, never-drops in 2.4.0"
VERDICT = {"coverage": {"statement": "every release from 2.0.0 to 2.4.0 was measured"}}


@dataclass
class PostOffice:
    """A store, a clock that sleeping moves, and what it takes to put a message into the store."""

    store: Store
    clock: Clock
    slept: list[float] = field(default_factory=list)

    def put(self, channel: str, target: str, message: str = SAID, origin: str = "cli", event: str = "changed") -> None:
        spec = {"name": "team", "snippet": TUTORIAL, "notify": [{"channel": channel, "target": target}]}
        watch = self.store.add_watch(watch_from(spec, origin=origin))
        found = NewWatchRun(
            watch.id, self.store.open_pass().id, "tensorflow", "changed", {}, None, VERDICT, {"appeared": []}, message
        )
        made = messages_for(event, watch, found, "https://tfbisect.test/", self.clock())
        self.store.add_watch_run(found, made)

    def sender(self, **postage: Any) -> Sender:
        def sleep(seconds: float) -> None:
            self.clock.moment += timedelta(seconds=seconds)

        settled = Postage(**{"webhook_secret": SECRET, "mail_from": "bot@tfbisect.test", **postage})
        return Sender(self.store, settled, now=lambda: self.clock().timestamp(), sleep=sleep)

    def try_until_it_is_given_up(self) -> None:
        """Let the time of each try come."""
        while (due := self.only.next_attempt_at) is not None:
            self.clock.moment = due
            self.sender().deliver()

    @property
    def only(self) -> Delivery:
        (delivery,) = self.store.deliveries()
        return delivery

    @property
    def codes(self) -> list[int | None]:
        return [attempt.status_code for attempt in self.store.delivery_log(self.only.id)]

    @property
    def error(self) -> str:
        return self.store.delivery_log(self.only.id)[-1].error


@pytest.fixture
def office(tmp_path: Path) -> Iterator[PostOffice]:
    clock = Clock(NIGHT)
    with Store.open(f"sqlite:///{tmp_path / 'office.sqlite3'}", clock=clock) as store:
        yield PostOffice(store, clock)


def test_tries_are_further_and_further_apart_until_the_message_is_given_up(office: PostOffice, site: Site) -> None:
    office.put("webhook", f"{site.address}/hook")
    site.answers = [503] * 20
    office.try_until_it_is_given_up()
    attempts = office.store.delivery_log(office.only.id)
    assert [attempt.status_code for attempt in attempts] == [503] * (len(BACKOFF_SECONDS) + 1)
    gaps = [(later.at - sooner.at).total_seconds() for sooner, later in pairwise(attempts)]
    assert gaps == list(BACKOFF_SECONDS)
    assert office.only.status == "failed"
    assert len({headers["X-Tfbisect-Delivery"] for headers, _ in site.received}) == 1
    assert len({headers["X-Tfbisect-Signature"] for headers, _ in site.received}) == len(attempts)


def test_before_its_time_nothing_is_tried_again(office: PostOffice, site: Site) -> None:
    office.put("webhook", f"{site.address}/hook")
    site.answers = [500]
    office.sender().deliver()
    office.clock.moment += timedelta(seconds=0.5)
    assert office.sender().deliver() == {}
    office.clock.moment += timedelta(seconds=1)
    assert office.sender().deliver() == {"delivered": 1}
    assert office.codes == [500, 200]


@pytest.mark.parametrize(("answer", "tries"), [(410, 1), (301, 8), (404, 8)])
def test_an_address_that_is_gone_is_tried_once_and_no_redirect_is_followed(
    office: PostOffice, site: Site, answer: int, tries: int
) -> None:
    office.put("webhook", f"{site.address}/hook")
    site.answers = [answer] * 20
    office.try_until_it_is_given_up()
    assert (office.only.status, office.codes) == ("failed", [answer] * tries)


def test_a_receiver_that_is_not_there_is_tried_again(office: PostOffice, site: Site) -> None:
    office.put("webhook", "http://127.0.0.1:9/hook")
    assert office.sender().deliver() == {"pending": 1}
    assert office.codes == [None]
    assert "ConnectError" in office.error


def test_a_sender_that_dies_after_sending_leaves_it_to_the_next_under_the_same_id(
    office: PostOffice, site: Site
) -> None:
    office.put("webhook", f"{site.address}/hook")
    claimed = office.store.claim_delivery(120)
    assert claimed is not None
    assert office.sender().deliver() == {}
    office.clock.moment += timedelta(seconds=121)
    assert office.sender().deliver() == {"delivered": 1}
    ((headers, _),) = site.received
    assert headers["X-Tfbisect-Delivery"] == claimed.id


def test_without_a_key_no_webhook_is_sent(office: PostOffice, site: Site) -> None:
    office.put("webhook", f"{site.address}/hook")
    office.sender(webhook_secret="").deliver()
    assert site.received == []
    assert "TFBISECT_WEBHOOK_SECRET" in office.error


@pytest.mark.parametrize(("allowed", "received"), [(False, 0), (True, 1)])
def test_who_came_by_the_api_reaches_no_inner_address_unless_that_is_allowed(
    office: PostOffice, site: Site, allowed: bool, received: int
) -> None:
    office.put("webhook", f"{site.address}/hook", origin="api")
    office.sender(inner_addresses=allowed).deliver()
    assert len(site.received) == received
    assert allowed or "inner address (127.0.0.1)" in office.error


def test_slack_gets_its_own_form_and_the_link(office: PostOffice, site: Site) -> None:
    office.put("slack", f"{site.address}/services/T0/B0/x")
    assert office.sender(webhook_secret="").deliver() == {"delivered": 1}
    ((headers, body),) = site.received
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"text": f"team: tensorflow behaves differently. {SAID}"}


def test_nothing_that_a_snippet_said_becomes_a_link_or_a_call_in_slack() -> None:
    made = slack_payload({"text": "raises:<!channel> & <https://x|y>", "link": "https://tfbisect.test/b/1"})
    assert made["text"] == (
        "raises:&lt;!channel&gt; &amp; &lt;https://x|y&gt;\n<https://tfbisect.test/b/1|timeline and verdict>"
    )


def test_an_address_from_the_environment_is_read_when_it_is_needed(
    office: PostOffice, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.put("slack", "env:TEAM_SLACK")
    office.sender().deliver()
    assert "TEAM_SLACK" in office.error
    monkeypatch.setenv("TEAM_SLACK", f"{site.address}/hook")
    office.clock.moment += timedelta(seconds=2)
    assert office.sender().deliver() == {"delivered": 1}


def test_a_mail_says_what_changed_and_what_was_measured(office: PostOffice) -> None:
    office.put("mail", "team@example.test")
    with mail_server() as server:
        assert office.sender(smtp_url=f"smtp://127.0.0.1:{server.port}?plain=1").deliver() == {"delivered": 1}
    (letter,) = server.letters
    mail = letter.message
    assert (letter.recipients, letter.encrypted) == (["team@example.test"], False)
    assert (mail["From"], mail["To"]) == ("bot@tfbisect.test", "team@example.test")
    assert mail["Subject"] == "tfbisect: team (tensorflow): verdict.changed"
    assert mail["Message-ID"] == f"<{office.only.id}@tfbisect.test>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert SAID in text
    assert "every release from 2.0.0 to 2.4.0 was measured" in text


def test_no_line_of_a_message_becomes_a_header_of_a_mail(office: PostOffice) -> None:
    office.put("mail", "team@example.test", message="ends\nBcc: all@example.test\n.\nQUIT")
    with mail_server() as server:
        assert office.sender(smtp_url=f"smtp://127.0.0.1:{server.port}?plain=1").deliver() == {"delivered": 1}
    (letter,) = server.letters
    assert (letter.recipients, letter.message["Bcc"]) == (["team@example.test"], None)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate for localhost that this process trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    both = certificate_for("localhost", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    return both


def test_mail_goes_out_encrypted_and_with_a_password(office: PostOffice, trusted: Path) -> None:
    office.put("mail", "team@example.test")
    with mail_server(trusted, bot="p@ss word") as server:
        assert office.sender(smtp_url=f"smtp://bot:p%40ss%20word@localhost:{server.port}").deliver() == {"delivered": 1}
    (letter,) = server.letters
    assert (letter.encrypted, letter.user) == (True, "bot")


def test_a_server_that_nobody_vouches_for_gets_no_mail(
    office: PostOffice, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.put("mail", "team@example.test")
    with mail_server(trusted) as server:
        office.sender(smtp_url=f"smtp://127.0.0.1:{server.port}").deliver()
    assert server.letters == []
    assert "CERTIFICATE_VERIFY_FAILED" in office.error


def test_a_server_without_encryption_gets_no_mail_unless_the_setting_says_so(office: PostOffice) -> None:
    office.put("mail", "team@example.test")
    with mail_server() as server:
        office.sender(smtp_url=f"smtp://127.0.0.1:{server.port}").deliver()
    assert server.letters == []
    assert "STARTTLS" in office.error


def test_a_mail_server_that_is_busy_gets_the_same_mail_later(office: PostOffice) -> None:
    office.put("mail", "team@example.test")
    with mail_server() as server:
        server.refuses = [451]
        sender = office.sender(smtp_url=f"smtp://127.0.0.1:{server.port}?plain=1")
        assert sender.deliver(patience_seconds=10) == {"delivered": 1}
    assert len(server.letters) == 1
    assert len(office.store.delivery_log(office.only.id)) == 2


def test_without_a_mail_server_the_log_says_what_to_set(office: PostOffice) -> None:
    office.put("mail", "team@example.test")
    office.sender().deliver()
    assert "TFBISECT_SMTP_URL" in office.error


BAD_TARGETS: dict[str, Callable[[], dict[str, str]]] = {
    "no address": lambda: {"channel": "webhook", "target": "ftp://x"},
    "no mail": lambda: {"channel": "mail", "target": "nobody"},
    "two headers": lambda: {"channel": "mail", "target": "a@b.test\nBcc: c@d.test"},
    "no channel": lambda: {"channel": "pager", "target": "https://x.test"},
}


@pytest.mark.parametrize("name", BAD_TARGETS)
def test_a_bad_address_is_refused_when_the_watch_is_made(office: PostOffice, name: str) -> None:
    made = BAD_TARGETS[name]()
    with pytest.raises(Exception, match="notify"):
        office.put(made["channel"], made["target"])

"""Notifications of watches: their text, and their delivery."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import structlog

from service.bisection.words import counted
from service.errors import BadInput
from service.nightly.posting import TIMEOUT_SECONDS, Destination, Undeliverable, post, public_destination
from service.nightly.watches import address_of
from service.printable import printable
from service.secret_urls import without_credentials
from service.storage.store import Store
from service.storage.watch_records import Delivery, NewDelivery, NewWatchRun, Watch

SCHEMA = "tfbisect/notification/1"
# Seconds, minutes, then hours: covers a restart within one pass, and hours of outage with eight attempts.
BACKOFF_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 6 * 3600.0)
_HOLD_SECONDS = 120.0
_GONE = 410

log = structlog.get_logger()


def messages_for(
    event: str, watch: Watch, found: NewWatchRun, public_url: str, moment: datetime
) -> tuple[NewDelivery, ...]:
    """Return the messages of a night, one per address of its watch.

    Args:
        event: "changed" or "blind".
        watch: whose night it was.
        found: what it found.
        public_url: where the web service is reached; empty: messages carry no links.
        moment: of the night, UTC.
    """
    link = f"{public_url.rstrip('/')}/b/{found.bisection_id}" if public_url and found.bisection_id else None
    payload = {
        "schema": SCHEMA,
        "event": f"verdict.{event}" if event == "changed" else f"watch.{event}",
        "at": moment.isoformat(),
        "watch": {"id": watch.id, "name": watch.name},
        "package": found.package,
        "text": printable(_text(event, watch, found)),
        "difference": found.difference,
        "verdict": found.verdict,
        "link": link,
    }
    return tuple(NewDelivery(entry["channel"], entry["target"], payload) for entry in watch.notify)


def _text(event: str, watch: Watch, found: NewWatchRun) -> str:
    if event == "changed":
        return f"{watch.name}: {found.package} behaves differently. {found.message}"
    return (
        f"{watch.name}: the newest releases of {found.package} have had no result for "
        f"{counted(watch.blind_after, 'night')}. {found.message}"
    )


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the value of the signature header: HMAC-SHA256 over "TIMESTAMP.BODY", so that no message can be replayed.

    A receiver computes the same over the timestamp in the header and the body as it came, compares in constant time,
    and refuses what is older than some minutes.
    """
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def slack_payload(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message for Slack, Mattermost and others; text of a snippet cannot become a link or a mention."""
    text = str(payload["text"]).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    link = f"\n<{payload['link']}|timeline and verdict>" if payload.get("link") else ""
    return {"text": text + link}


def mail_of(delivery: Delivery, sender: str) -> EmailMessage:
    """Return a message as e-mail; its id is that of the delivery, so that duplicates are recognised."""
    payload = delivery.payload
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, delivery.target
    mail["Subject"] = f"tfbisect: {payload['watch']['name']} ({payload['package']}): {payload['event']}"
    mail["Message-ID"] = f"<{delivery.id}@{sender.rpartition('@')[2] or 'tfbisect'}>"
    mail["Auto-Submitted"] = "auto-generated"
    statement = ((payload.get("verdict") or {}).get("coverage") or {}).get("statement", "")
    mail.set_content("\n\n".join(filter(None, (payload["text"], statement, payload.get("link")))) + "\n")
    return mail


def retry_after_seconds(attempts: int, status_code: int | None) -> float | None:
    """Return the pause after this many failed attempts; None: give up."""
    if status_code == _GONE or attempts > len(BACKOFF_SECONDS):
        return None
    return BACKOFF_SECONDS[attempts - 1]


@dataclass(frozen=True)
class Postage:
    """What sending needs."""

    webhook_secret: str = ""
    """Key of the signatures; empty: webhooks are not sent, since nobody could trust them."""
    smtp_url: str = ""
    """smtp://user:password@host:587 (STARTTLS), smtps://…, or smtp://host:25?plain=1 without encryption."""
    mail_from: str = "tfbisect@localhost"
    inner_addresses: bool = False
    """Whether watches added by the API may name private addresses."""


class Sender:
    """Delivers messages, each until it is delivered or given up, and logs every attempt."""

    def __init__(
        self,
        store: Store,
        postage: Postage,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._postage = postage
        self._now = now
        self._sleep = sleep

    def deliver(self, patience_seconds: float = 0.0) -> Mapping[str, int]:
        """Deliver what is due and count messages by status.

        Args:
            patience_seconds: how long to wait for retries that become due meanwhile.
        """
        became: dict[str, str] = {}
        until = self._now() + patience_seconds
        while True:
            while (delivery := self._store.claim_delivery(_HOLD_SECONDS)) is not None:
                became[delivery.id] = self._try(delivery)
            if "pending" not in became.values() or self._now() >= until:
                return dict(Counter(became.values()))
            self._sleep(0.5)

    def _try(self, delivery: Delivery) -> str:
        """Try once, store the attempt, and return the message's status."""
        status_code, error = None, ""
        try:
            status_code = self._send(delivery)
        except Undeliverable as failed:
            status_code, error = failed.status_code, str(failed)
        except (OSError, httpx.HTTPError, httpx.InvalidURL, smtplib.SMTPException, BadInput, ValueError) as failed:
            error = without_credentials(f"{type(failed).__name__}: {failed}")
        again = retry_after_seconds(delivery.attempts, status_code) if error else None
        self._store.note_attempt(delivery, status_code=status_code, error=error, retry_after_seconds=again)
        if error:
            log.warning("delivery.failed", delivery=delivery.id, channel=delivery.channel, error=error, again=again)
        return "delivered" if not error else "pending" if again is not None else "failed"

    def _send(self, delivery: Delivery) -> int | None:
        """Send a message by its channel.

        Raises:
            Undeliverable: the other side refused it, or this side may not or cannot send it.
        """
        if delivery.channel == "mail":
            self._mail(mail_of(delivery, self._postage.mail_from))
            return None
        address = address_of(delivery.target)
        is_trusted = self._postage.inner_addresses or self._store.watch_of_run(delivery.watch_run_id).is_trusted
        destination = Destination(httpx.URL(address)) if is_trusted else public_destination(address)
        if delivery.channel == "slack":
            return post(destination, json.dumps(slack_payload(delivery.payload)).encode(), {})
        return self._webhook(destination, delivery)

    def _webhook(self, destination: Destination, delivery: Delivery) -> int:
        if not self._postage.webhook_secret:
            raise Undeliverable("no key to sign with; set TFBISECT_WEBHOOK_SECRET")
        body = json.dumps({"id": delivery.id, **delivery.payload}, separators=(",", ":")).encode()
        headers = {
            "X-Tfbisect-Event": str(delivery.payload["event"]),
            "X-Tfbisect-Delivery": delivery.id,
            "X-Tfbisect-Signature": signature(self._postage.webhook_secret, int(self._now()), body),
        }
        return post(destination, body, headers)

    def _mail(self, mail: EmailMessage) -> None:
        if not self._postage.smtp_url:
            raise Undeliverable("no mail server; set TFBISECT_SMTP_URL")
        url = urlsplit(self._postage.smtp_url)
        with _connect(url.scheme, url.hostname or "localhost", url.port) as server:
            if url.scheme == "smtp" and "plain" not in parse_qs(url.query):
                server.starttls(context=ssl.create_default_context())
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(mail)


def _connect(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, port or 465, timeout=TIMEOUT_SECONDS, context=context)
    return smtplib.SMTP(host, port or 587, timeout=TIMEOUT_SECONDS)

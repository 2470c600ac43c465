"""A mail server on loopback that keeps what it is given: SMTP with STARTTLS and AUTH PLAIN, as far as tests need."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path


@dataclass
class Letter:
    """A mail as it came."""

    recipients: list[str]
    body: bytes
    encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.body, EmailMessage, policy=email.policy.default)


@dataclass
class MailServer:
    """What the server offers, and what it got."""

    port: int = 0
    certificate: Path | None = None
    """File with key and certificate; None: it offers no encryption."""
    passwords: dict[str, str] = field(default_factory=dict)
    refuses: list[int] = field(default_factory=list)
    """Answers to the next mails in place of 250."""
    letters: list[Letter] = field(default_factory=list)


class _Conversation(socketserver.StreamRequestHandler):
    server: _Listening

    def handle(self) -> None:
        self.state, self.encrypted, self.user = self.server.state, False, ""
        self.recipients: list[str] = []
        self._say("220 mail.test")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                self._say("221 bye")
                return
            getattr(self, f"_{verb.lower()}", self._unknown)(rest)

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def _unknown(self, _: str) -> None:
        self._say("502 unknown")

    def _ehlo(self, _: str) -> None:
        offers = ["250-mail.test"]
        if self.state.certificate and not self.encrypted:
            offers.append("250-STARTTLS")
        self._say(*offers, "250 AUTH PLAIN")

    def _starttls(self, _: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.state.certificate))
        self._say("220 go on")
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.encrypted = True

    def _auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
        if self.state.passwords.get(user) != password:
            self._say("535 wrong")
            return
        self.user = user
        self._say("235 welcome")

    def _mail(self, _: str) -> None:
        self.recipients = []
        self._say("250 ok")

    def _rcpt(self, rest: str) -> None:
        self.recipients.append(rest.partition("<")[2].partition(">")[0])
        self._say("250 ok")

    def _data(self, _: str) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        if self.state.refuses:
            self._say(f"{self.state.refuses.pop(0)} not now")
            return
        self.state.letters.append(Letter(self.recipients, b"".join(lines), self.encrypted, self.user))
        self._say("250 kept")


class _Listening(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def __init__(self, state: MailServer) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.state = state
        state.port = self.server_address[1]


@contextmanager
def mail_server(certificate: Path | None = None, **passwords: str) -> Iterator[MailServer]:
    state = MailServer(certificate=certificate, passwords=passwords)
    with _Listening(state) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def certificate_for(name: str, folder: Path) -> Path:
    """Make a certificate that vouches for itself; return the file with it and its key."""
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both

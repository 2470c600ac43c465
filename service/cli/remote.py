"""A team's service instead of this machine: `--server URL` or TFBISECT_SERVER."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from httpx_sse import ServerSentEvent, connect_sse
from rich.console import Console

from service.catalog.releases import CatalogRelease
from service.coordination.conclusion import Finished
from service.coordination.intake import BisectionRequest
from service.errors import BadInput, NotFound, Unavailable
from service.printable import printable
from service.projects.files import Project
from service.storage.records import FINISHED

API = "/api/v1"
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="TFBISECT_SERVER",
        show_envvar=False,
        help="ask the service at this address instead of this machine; TFBISECT_SERVER; "
        "token: TFBISECT_TOKEN or TFBISECT_TOKEN_FILE",
        rich_help_panel="Machine",
    ),
]
ANSWER_SECONDS = 60.0
"""How long a call may take; a submission resolves releases first."""
SILENCE_SECONDS = 45.0
"""How long a stream of events may be silent: the service sends a comment every 15 s."""
TRIES = 20
"""How often in a row a broken stream is taken up again."""
PAUSE_SECONDS = 1.5
"""How long to wait before that, as the service asks browsers to: one that restarts needs some seconds."""
MOST_ROWS = 100
"""How many rows a page of the service's list may have."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Unreachable(Unavailable):
    title = "The service cannot be reached"


def token_from(environment: Mapping[str, str]) -> str:
    """Return the token in TFBISECT_TOKEN, or in the file that TFBISECT_TOKEN_FILE names; "" if there is none.

    Raises:
        BadInput: the file cannot be read.
    """
    path = environment.get("TFBISECT_TOKEN_FILE", "")
    if environment.get("TFBISECT_TOKEN") or not path:
        return environment.get("TFBISECT_TOKEN", "").strip()
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"TFBISECT_TOKEN_FILE: {path} cannot be read: {error}.") from None


class Server:
    """A service, asked by its REST API."""

    def __init__(self, url: str, progress: Console, environment: Mapping[str, str] | None = None) -> None:
        """Connect to nothing yet.

        Args:
            url: address of the service, such as https://tfbisect.example.org.
            progress: where progress and warnings go.
            environment: variables of the process.

        Raises:
            BadInput: no address of a service.
        """
        environment = os.environ if environment is None else environment
        address = _address(url)
        token = token_from(environment)
        if token and address.scheme == "http" and address.host not in LOOPBACK:
            progress.print(f"The token goes to {address.host} unencrypted; use https.", style="yellow", markup=False)
        headers = {"accept": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        self._progress = progress
        self._url = str(address).rstrip("/")
        self._client = httpx.Client(base_url=self._url, headers=headers, timeout=ANSWER_SECONDS, follow_redirects=False)

    def close(self) -> None:
        self._client.close()

    def expected(self, probe: str) -> frozenset[str]:
        """Return the outcomes that a probe expects."""
        known = self._json("GET", f"{API}/probes")["items"]
        return frozenset(next((each["expected"] for each in known if each["name"] == probe), ()))

    def releases(self, package: str) -> Sequence[CatalogRelease]:
        """Return the releases of a package that the service knows, oldest first."""
        return [_release(row) for row in self._json("GET", f"{API}/releases", params={"package": package})["items"]]

    def bisection(self, name: str) -> dict[str, Any]:
        """Return a bisection by its id, an unambiguous beginning of it, or `last`.

        Raises:
            NotFound: there is none that the token may read.
            BadInput: several begin so.
        """
        if name.lower() == "last":
            newest = self.bisections(1)
            if not newest:
                raise NotFound("no bisection is stored yet.")
            return self.bisection(newest[0]["id"])
        beginning = name.strip().upper()
        if len(beginning) == 26:
            return dict(self._json("GET", f"{API}/bisections/{beginning}"))
        found = [row["id"] for row in self.bisections(MOST_ROWS) if beginning and row["id"].startswith(beginning)]
        if len(found) > 1:
            raise BadInput(f"several bisections begin with {name}, such as {found[0]} and {found[1]}.", field="id")
        if not found:
            raise NotFound(f"no bisection {name} among the newest {MOST_ROWS}; give the whole id.")
        return self.bisection(found[0])

    def bisections(self, limit: int, **wanted: Any) -> list[dict[str, Any]]:
        """Return summaries of the newest bisections, page by page, newest first."""
        given = {name: value for name, value in wanted.items() if value}
        found: list[dict[str, Any]] = []
        while len(found) < limit:
            page = self._json("GET", f"{API}/bisections", params={**given, "limit": min(limit - len(found), MOST_ROWS)})
            found += page["items"]
            if not page["next"]:
                break
            given["cursor"] = page["next"]
        return found

    def snippet(self, bisection_id: str) -> str:
        return self._answer("GET", f"/b/{bisection_id}.py").text

    def markdown(self, bisection_id: str) -> str:
        return self._answer("GET", f"/b/{bisection_id}.md").text

    def why(self, name: str, budget: int | None, *, quiet: bool) -> dict[str, Any]:
        """Ask for the causes of a bisection's changes, wait for them, and return its verdict with them."""
        bisection_id = self.bisection(name)["id"]
        body = {} if budget is None else {"budget": budget}
        found = self._json("POST", f"{API}/bisections/{bisection_id}/why", json=body)
        while found["status"] == "running":
            if not quiet:
                self._progress.print(found["said"], markup=False, soft_wrap=True)
            time.sleep(PAUSE_SECONDS)
            found = self._json("GET", f"{API}/bisections/{bisection_id}/why")
        return {"id": bisection_id, "changes": found["changes"]}

    def page(self, bisection_id: str) -> str:
        """Return the address of a bisection's page."""
        return f"{self._url}/b/{bisection_id}"

    def evidence(self, bisection_id: str) -> Iterator[bytes]:
        """Return the archive with the evidence, in pieces."""
        yield self._answer("GET", f"/b/{bisection_id}.zip").content

    def run(self, request: BisectionRequest, *, quiet: bool, project: Project | None = None) -> Finished:
        """Submit a bisection with its files, follow it to its end, and return how it ended."""
        if project is not None:
            self._send(project)
        body = request.model_dump(mode="json", by_alias=True, exclude_unset=True)
        submitted = self._json("POST", f"{API}/bisections", json=body)
        if not quiet:
            self._progress.print(f"asked: {self._url}/b/{submitted['id']}", markup=False, soft_wrap=True)
        self._follow(submitted["id"], quiet=quiet)
        ended = self._json("GET", f"{API}/bisections/{submitted['id']}")
        return Finished(ended["status"], ended["verdict"], ended["error"])

    def _send(self, project: Project) -> None:
        """Send the files of a project, which the service keeps under the digest that the request names."""
        sent = self._json(
            "POST", f"{API}/projects", files={"files": ("project.zip", project.packed, "application/zip")}
        )
        if sent["digest"] != project.digest:
            raise BadInput("the service keeps other files of this project than this machine; look at .gitignore.")

    def _follow(self, bisection_id: str, *, quiet: bool) -> None:
        """Read events until the end, and print what happens; a stream that breaks is taken up again."""
        seen, failures, done, planned = "0", 0, 0, 1
        while True:
            try:
                for event in self._events(bisection_id, seen):
                    seen, failures = event.id or seen, 0
                    said = json.loads(event.data) if event.data else {}
                    if event.event == "progress":
                        done, planned = said.get("runs_done", done), said.get("runs_planned_at_least", planned)
                    elif event.event == "observation" and not quiet:
                        done += 1
                        self._progress.print(_line(said, done, max(planned, done)), markup=False, soft_wrap=True)
                # A service that restarts closes its streams in order too.
                if self._json("GET", f"{API}/bisections/{bisection_id}")["status"] in FINISHED:
                    return
                reason = "it closed the stream"
            except (httpx.TransportError, Unreachable) as error:
                reason = str(error)
            failures += 1
            if failures > TRIES:
                raise Unreachable(f"{self._url} went away ({reason}); the bisection goes on there: {bisection_id}.")
            time.sleep(PAUSE_SECONDS)

    def _events(self, bisection_id: str, after: str) -> Iterator[ServerSentEvent]:
        path, headers = f"{API}/bisections/{bisection_id}/events", {"last-event-id": after}
        timeout = httpx.Timeout(ANSWER_SECONDS, read=SILENCE_SECONDS)
        with connect_sse(self._client, "GET", path, headers=headers, timeout=timeout) as source:
            if source.response.status_code == httpx.codes.NO_CONTENT:
                return
            if source.response.is_error:
                source.response.read()
                raise _refusal(source.response)
            yield from source.iter_sse()

    def _json(self, method: str, path: str, **more: Any) -> Any:
        answer = self._answer(method, path, **more)
        try:
            return answer.json()
        except ValueError:
            raise Unreachable(f"{self._url} does not answer as a tfbisect service does.") from None

    def _answer(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._url} does not answer ({error}); look at --server and the network.") from None
        if answer.is_error or answer.is_redirect:
            raise _refusal(answer)
        return answer


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url if "://" in url else f"http://{url}")
    except (httpx.InvalidURL, ValueError) as error:
        raise BadInput(f"--server: {error}.", field="server") from None
    if address.scheme not in ("http", "https") or not address.host:
        raise BadInput("--server is not the address of a service; write it as https://host or http://host:8000.")
    return address


def _refusal(answer: httpx.Response) -> BadInput | NotFound | Unavailable:
    """Return what a service's refusal is here, with its own words."""
    try:
        problem = answer.json()
        said = str(problem.get("detail") or problem.get("title"))
    except (ValueError, AttributeError):
        said = f"responded {answer.status_code} {answer.reason_phrase}"
    if answer.status_code == httpx.codes.NOT_FOUND:
        return NotFound(said)
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return BadInput(f"{said} (TFBISECT_TOKEN or TFBISECT_TOKEN_FILE holds the token.)")
    if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
        return BadInput(said)
    return Unreachable(said)


def _line(said: Mapping[str, Any], done: int, planned: int) -> str:
    """Return a line of progress, as a run on this machine prints it."""
    release = " ".join(filter(None, (str(said.get("release")), f"[{said['variant']}]" if said.get("variant") else "")))
    answer = said.get("outcome") or f"{said.get('answer')}: {said.get('reason')}"
    seconds = (said.get("seconds") or {}).get("total")
    origin = "reused" if said.get("reused") else f"{seconds:.1f} s" if seconds else str(said.get("runner") or "not run")
    return printable(f"[{done}/{planned}] {release:<12} {answer}  ({origin})")


def _release(row: Mapping[str, Any]) -> CatalogRelease:
    return CatalogRelease(
        version=str(row["release"]),
        uploaded=datetime.fromisoformat(str(row["uploaded_at"])),
        pythons=tuple(row.get("pythons") or ()),
        bytes=int(row.get("bytes") or 0),
        yanked=bool(row.get("yanked")),
        gone=bool(row.get("gone")),
    )


@contextmanager
def server_at(url: str, progress: Console) -> Iterator[Server]:
    """Open a connection to a service, and always close it."""
    server = Server(url, progress)
    try:
        yield server
    finally:
        server.close()

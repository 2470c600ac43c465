"""The one place that connects to a container engine."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import docker.errors
import requests
from urllib3.exceptions import HTTPError

from service.errors import DiskFull, EngineLost, NoRunner
from service.execution.engine_words import EngineFacts, advice_on, engine_facts

LOCAL_SOCKET = "unix:///var/run/docker.sock"
CALL_SECONDS = 60
OK, FORBIDDEN = 200, 403
NO_SPACE = "no space left"
CONNECTIONS = 64
"""Connections kept open: each current run holds one for its channel."""

CLIENT_ERRORS: tuple[type[Exception], ...] = (docker.errors.DockerException, requests.RequestException, HTTPError)
"""What the client raises: its own errors, and those of the libraries below it when a stream breaks off."""
ENGINE_ERRORS: tuple[type[Exception], ...] = (*CLIENT_ERRORS, OSError)
"""The same, and what a bare socket raises."""


def connect() -> docker.DockerClient:
    """Return a client of the engine that DOCKER_HOST names, or of the local socket; it has answered once.

    Raises:
        NoRunner: none answers, or it runs no Linux containers.
    """
    place = os.environ.get("DOCKER_HOST") or LOCAL_SOCKET
    advice = "start Docker, set DOCKER_HOST, or use --runner local"
    try:
        _knock(place)
        client = docker.from_env(timeout=CALL_SECONDS, max_pool_size=CONNECTIONS)
        system = client.version().get("Os", "linux")
    except ENGINE_ERRORS as error:
        raise NoRunner(f"no container engine responds at {place} ({_first_line(error)}); {advice}.") from error
    if system != "linux":
        raise NoRunner(f"the engine at {place} runs {system} containers, but the images are for linux; {advice}.")
    return client


def _knock(place: str) -> None:
    """Raise OSError if nobody listens at a local socket: the client would leak its own end."""
    scheme, _, path = place.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.settimeout(CALL_SECONDS)
            visitor.connect(path)


@contextmanager
def calling(
    what: str, *, answers: tuple[type[Exception], ...] = (), errors: tuple[type[Exception], ...] = ENGINE_ERRORS
) -> Iterator[None]:
    """Turn any error of the engine or the connection to it into EngineLost, or DiskFull if it says so.

    Args:
        what: the call in words, such as "start a container".
        answers: errors that are left as they are, since the caller takes them for an answer, such as NotFound.
        errors: CLIENT_ERRORS where files of this machine are read or written beside the call: an OSError is theirs.
    """
    try:
        yield
    except answers:
        raise
    except errors as error:
        raise trouble(what, error) from error


def is_filtered(api: Any) -> bool:
    """Return whether the filter of deploy/ is in front of the engine: it refuses a call that tfbisect never makes.

    Raises:
        EngineLost: the engine does not answer.
    """
    with calling("say what stands in front of it"):
        answer = api.get(f"{api.base_url}/v{api.api_version}/volumes", timeout=CALL_SECONDS)
    return answer.status_code == FORBIDDEN and "engine proxy" in answer.text


def trouble(what: str, error: Exception) -> EngineLost | DiskFull:
    """Return what happened to a call, in words: the engine's message, or why it did not answer.

    Args:
        what: the call in words, such as "start a container".
        error: what the client raised.
    """
    if isinstance(error, docker.errors.APIError):
        return refusal(what, _first_line(error), engine_broke=error.is_server_error())
    return EngineLost(
        f"the engine could not {what}: {_silence(error)}; look with `docker info` whether it runs, and whether this "
        "user may use its socket."
    )


def refusal(what: str, said: str, *, engine_broke: bool = True) -> EngineLost | DiskFull:
    """Return the error for an engine's message.

    Args:
        what: the call in words.
        said: what the engine answered.
        engine_broke: it takes the fault on itself: more may stand in its log.
    """
    if NO_SPACE in said.lower():
        return DiskFull(
            f"the engine's disk is full, so that it could not {what} ({said}); run `tfbisect images prune`, or free "
            "some space where the engine keeps its images."
        )
    log = "; its log says more (`journalctl -u docker`)" if engine_broke else ""
    advice = advice_on(said)
    return EngineLost(f"the engine could not {what}: {said}{f'; {advice}' if advice else log}.")


def _silence(error: BaseException) -> str:
    """Return why nobody answered: the innermost of nested errors, without the client's wrapping."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    inner = [each for each in (*error.args, error.__cause__, error.__context__) if isinstance(each, BaseException)]
    if inner:
        return _silence(inner[0])
    return (error.strerror if isinstance(error, OSError) else None) or _first_line(error)


def engine_description(client: Any) -> dict[str, Any]:
    """Return the engine's description of itself.

    Raises:
        EngineLost: it does not answer.
    """
    with calling("describe itself"):
        return dict(client.info())


def engine_in_words(client: Any) -> EngineFacts:
    """Return what an engine is and lacks.

    Raises:
        EngineLost: it does not answer.
    """
    with calling("describe itself"):
        return engine_facts(client.info(), client.version())


def orders_to_end(api: Any, container: str, until: int) -> bool | None:
    """Return whether the engine recorded an order to kill or stop a container; None if it does not say.

    Asked by hand: the client's own `events` takes a refusal, and a connection that broke, for the end of the list.

    Args:
        api: the engine's client.
        container: its full id.
        until: seconds since the epoch by the engine's clock up to which its record is read.
    """
    asked = {"since": "1", "until": str(until), "filters": json.dumps({"container": [container], "event": ["kill"]})}
    try:
        answer = api.get(f"{api.base_url}/v{api.api_version}/events", params=asked, timeout=CALL_SECONDS)
        return bool(answer.content.strip()) if answer.status_code == OK else None
    except ENGINE_ERRORS:
        return None


def _first_line(error: BaseException) -> str:
    explanation = getattr(error, "explanation", None) or str(error)
    return str(explanation).strip().partition("\n")[0][:500].rstrip(".")

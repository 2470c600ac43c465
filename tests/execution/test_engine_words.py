"""What is said of an engine that fails: its own words where it answered, once, and what to do."""

from __future__ import annotations

from unittest.mock import Mock

import docker.errors
import pytest
import requests
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from service.errors import DiskFull, EngineLost
from service.execution.docker_engine import CLIENT_ERRORS, ENGINE_ERRORS, calling, trouble

WISH = "build an image"


def refused(status: int, words: str) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code, response.url = status, "http+docker://localhost/v1.41/build?t=tfbisect%2Ftensorflow"
    return docker.errors.APIError(f"{status} Server Error for {response.url}: {words}", response, words)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            refused(500, "failed to create shim task: no such process"),
            EngineLost,
            (
                "the engine could not build an image: failed to create shim task: no such process; its log says more "
                "(`journalctl -u docker`)."
            ),
        ),
        (
            refused(409, "name is in use."),
            EngineLost,
            "the engine could not build an image: name is in use.",
        ),
        (
            refused(500, "write /var/lib/x: no space left on device"),
            DiskFull,
            (
                "the engine's disk is full, so that it could not build an image (write /var/lib/x: no space left "
                "on device); run `tfbisect images prune`, or free some space where the engine keeps its images."
            ),
        ),
        (
            requests.ConnectionError(ProtocolError("Connection aborted.", FileNotFoundError(2, "Gone"))),
            EngineLost,
            (
                "the engine could not build an image: Gone; look with `docker info` whether it runs, and whether "
                "this user may use its socket."
            ),
        ),
        (
            requests.ReadTimeout(ReadTimeoutError(Mock(), "/", "Read timed out.")),
            EngineLost,
            (
                "the engine could not build an image: no answer in time; look with `docker info` whether it runs, and "
                "whether this user may use its socket."
            ),
        ),
    ],
)
def test_an_engine_that_fails_is_quoted_and_one_that_is_silent_is_said_to_be(
    error: Exception, kind: type[Exception], words: str
) -> None:
    said = trouble(WISH, error)
    assert type(said) is kind
    assert said.message == words
    assert "http" not in said.message


@pytest.mark.parametrize(
    ("error", "answers", "errors", "raised"),
    [
        (docker.errors.NotFound("no such image"), (docker.errors.NotFound,), CLIENT_ERRORS, docker.errors.NotFound),
        (docker.errors.NotFound("no such image"), (), CLIENT_ERRORS, EngineLost),
        (FileNotFoundError(2, "a file of this machine"), (), CLIENT_ERRORS, FileNotFoundError),
        (BrokenPipeError(32, "the engine's socket"), (), ENGINE_ERRORS, EngineLost),
        (requests.ConnectionError("away"), (), CLIENT_ERRORS, EngineLost),
        (ProtocolError("broke off"), (), CLIENT_ERRORS, EngineLost),
        (docker.errors.InvalidVersion("too old"), (docker.errors.APIError,), CLIENT_ERRORS, EngineLost),
    ],
)
def test_what_a_call_leaves_as_it_is_and_what_is_the_engine_s(
    error: Exception, answers: tuple[type[Exception], ...], errors: tuple[type[Exception], ...], raised: type[Exception]
) -> None:
    with pytest.raises(raised), calling(WISH, answers=answers, errors=errors):
        raise error

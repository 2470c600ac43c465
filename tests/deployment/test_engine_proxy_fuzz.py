"""The filter against calls that nobody thought of: it refuses, or what it passes on is still harmless.

Some ten seconds in all.
"""

from __future__ import annotations

import json
import string
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.execution.hardening import container_config
from service.execution.limits import Limits
from service.execution.seccomp import profile_text
from tests.fuzzing import at_most, within_budget


def words_of(text: str) -> st.SearchStrategy[str]:
    """Draw one of the words of a text."""
    return st.sampled_from(text.split())


BUDGET = at_most(250)
NAMES = words_of(
    "Privileged Binds Mounts VolumesFrom CapAdd CapDrop PidMode IpcMode UsernsMode UTSMode CgroupnsMode "
    "CgroupParent NetworkMode Devices DeviceRequests DeviceCgroupRules SecurityOpt Sysctls OomScoreAdj LogConfig "
    "RestartPolicy PortBindings ExtraHosts MaskedPaths ReadonlyPaths Runtime Isolation Links Dns GroupAdd "
    "StorageOpt Tmpfs Ulimits ContainerIDFile VolumeDriver AutoRemove PublishAllPorts ConsoleSize BlkioWeight "
    "Annotations Init ShmSize"
).flatmap(lambda name: st.sampled_from([name, name.lower(), name.upper(), f"{name} ", name.swapcase()]))
WORDS = st.sampled_from(
    ["host", "none", "private", "container:x", "seccomp=unconfined", "seccomp={}", "no-new-privileges:true", "ALL",
     "/:/host", "always", "no", "syslog", "runsc", "", "true", "apparmor=unconfined", f"seccomp={profile_text()}"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-(2**40), 2**70) | st.floats() | WORDS | st.text(max_size=10)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
HOST_CONFIGS = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda given: {"NetworkMode": "none", **given})
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"])
PARTS = words_of(
    "containers images json create start wait attach archive logs exec commit build events info version _ping "
    "volumes networks swarm plugins abc .. . %2e%2e v1.41 v1.23 v1.24 sha256:abc tfbisect/six:1 distribution "
    "secrets"
) | st.text(string.printable, max_size=6)
PARAMETERS = words_of(
    "t networkmode remote labels buildargs q force v link checkpoint checkpoint-dir detachKeys path since until "
    "filters container repo tag changes fromImage fromSrc name all size condition stream"
)


@given(HOST_CONFIGS)
@example({"NetworkMode": "none", "OomScoreAdj": float("nan")})
@BUDGET
@within_budget
def test_a_container_that_passes_has_no_rights_whatever_was_asked(
    proxy_module: ModuleType, host_config: dict[str, Any]
) -> None:
    try:
        passed = json.loads(proxy_module.checked_description(json.dumps({"HostConfig": host_config}).encode()))
    except proxy_module.Refused:
        return
    given_back = passed["HostConfig"]
    assert set(given_back) <= set(proxy_module.HOST)
    assert given_back["NetworkMode"] == "none"
    assert given_back.get("IpcMode", "private") in ("private", "none")
    assert set(given_back.get("SecurityOpt") or ()) <= {
        "no-new-privileges", "no-new-privileges:true", f"seccomp={profile_text()}",
    }  # fmt: skip
    assert (given_back.get("RestartPolicy") or {}).get("Name") in (None, "", "no")
    assert given_back.get("OomScoreAdj", 0) >= 0
    assert passed["Labels"] == {proxy_module.OWN: "yes"}


@given(
    st.dictionaries(NAMES | st.sampled_from(["Image", "Cmd", "Labels", "HostConfig", "Volumes"]), VALUES, max_size=5)
)
@BUDGET
@within_budget
def test_whatever_is_sent_as_a_description_is_judged_and_never_breaks_the_filter(
    proxy_module: ModuleType, body: dict[str, Any]
) -> None:
    for judge in (proxy_module.checked_description, proxy_module.checked_commit):
        try:
            passed = json.loads(judge(json.dumps(body).encode()))
        except proxy_module.Refused:
            continue
        assert set(passed) <= set(proxy_module.OUTER)


@given(st.binary(max_size=200))
@BUDGET
@within_budget
def test_bytes_that_are_no_description_are_refused(proxy_module: ModuleType, body: bytes) -> None:
    try:
        assert isinstance(json.loads(body), dict)
    except (ValueError, AssertionError):
        with pytest.raises(proxy_module.Refused):
            proxy_module.checked_description(body)


@given(METHODS, st.lists(PARTS, max_size=5), st.dictionaries(PARAMETERS, WORDS | st.text(max_size=12), max_size=4))
@BUDGET
@within_budget
def test_a_call_that_passes_is_written_anew_as_the_same_call(
    proxy_module: ModuleType, method: str, parts: list[str], parameters: dict[str, str]
) -> None:
    query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    line = f"{method} /{'/'.join(parts)}{'?' if query else ''}{query} HTTP/1.1"
    try:
        call = proxy_module.read_call(line.encode("latin-1", errors="replace") + b"\r\nHost: x")
        proxy_module.check_parameters(call)
    except proxy_module.Refused:
        return
    written = call.target
    assert not set(written) & set(" \r\n\0")
    again = proxy_module.read_call(f"{call.method} {written} HTTP/1.1\r\nHost: x".encode())
    assert (again.kind, again.names, again.path) == (call.kind, call.names, call.path)
    assert ".." not in call.path.split("/")
    assert set(again.parameters) <= set(proxy_module.PARAMETERS.get(call.kind, ()))


@given(st.binary(max_size=300))
@example(b"GET /info HTTP/1.1\r\nHost: x\r\nHost: y")
@BUDGET
@within_budget
def test_bytes_that_are_no_head_are_refused(proxy_module: ModuleType, head: bytes) -> None:
    try:
        call = proxy_module.read_call(head)
    except proxy_module.Refused:
        return
    assert call.kind in proxy_module.ALLOWED


@given(VALUES | st.text(max_size=30))
@BUDGET
@within_budget
def test_events_stay_those_of_own_containers_whatever_was_asked(proxy_module: ModuleType, asked: object) -> None:
    try:
        narrowed = json.loads(proxy_module.event_filters(asked if isinstance(asked, str) else json.dumps(asked)))
    except proxy_module.Refused:
        return
    assert narrowed["label"] == [f"{proxy_module.OWN}=yes"]
    assert narrowed["type"] == ["container"]


@given(VALUES)
@BUDGET
@within_budget
def test_an_image_that_is_built_is_never_marked_as_a_container_of_ours(
    proxy_module: ModuleType, labels: object
) -> None:
    try:
        passed = json.loads(proxy_module.build_labels(json.dumps(labels)))
    except proxy_module.Refused:
        return
    assert passed[proxy_module.OWN] == "no"


def test_what_the_runner_sends_passes(proxy_module: ModuleType) -> None:
    asked = container_config("image", ["true"], Limits(), user=1, labels={}, seccomp=profile_text())
    assert proxy_module.checked_description(json.dumps(asked).encode())

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def proxy() -> ModuleType:
    path = Path(__file__).parent.parent / "deploy" / "engine_proxy.py"
    spec = importlib.util.spec_from_file_location("engine_proxy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/_ping", True),
        ("GET", "/v1.41/containers/json?all=1", True),
        ("POST", "/v1.41/containers/create?name=x", True),
        ("POST", "/v1.41/containers/abc/attach?stdin=1", True),
        ("DELETE", "/v1.41/containers/abc?force=1", True),
        ("POST", "/v1.41/build?t=x", True),
        ("GET", "/v1.41/images/tfbisect/tensorflow:1.12.0/json", True),
        ("POST", "/v1.41/containers/abc/exec", False),
        ("POST", "/v1.41/swarm/init", False),
        ("GET", "/v1.41/secrets", False),
        ("POST", "/v1.41/volumes/create", False),
        ("PUT", "/v1.41/containers/abc/archive", False),
        ("GET", "/v1.41/images/../secrets/json", False),
        ("POST", "/v1.41/networks/create", False),
    ],
)
def test_only_the_calls_that_tfbisect_needs_pass(method: str, path: str, allowed: bool) -> None:
    assert proxy().is_allowed(method, path) is allowed


SAFE = {"NetworkMode": "none", "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "ReadonlyRootfs": True}


@pytest.mark.parametrize(
    ("more", "complains"),
    [
        ({}, False),
        ({"Tmpfs": {"/tmp": "size=1m"}}, False),
        ({"IpcMode": "none"}, False),
        ({"Privileged": True}, True),
        ({"Binds": ["/:/host"]}, True),
        ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]}, True),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/tmp"}]}, False),
        ({"CapAdd": ["SYS_ADMIN"]}, True),
        ({"PidMode": "host"}, True),
        ({"NetworkMode": "host"}, True),
        ({"NetworkMode": "bridge"}, True),
        ({"Devices": [{"PathOnHost": "/dev/sda"}]}, True),
        ({"SecurityOpt": ["seccomp=unconfined"]}, True),
    ],
)
def test_a_container_with_rights_is_refused(more: dict[str, Any], complains: bool) -> None:
    assert bool(proxy().complaint(json.dumps({"HostConfig": {**SAFE, **more}}))) is complains

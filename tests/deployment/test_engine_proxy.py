"""The filter in front of the socket: by rule, and as an attacker would talk to it in front of a real engine."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import docker
import pytest

from service.bisection.outcomes import Lost, Outcome, classify
from service.execution.docker_engine import is_filtered, orders_to_end
from service.execution.hardening import RUN_LABEL, container_config
from service.execution.limits import Limits
from service.execution.runner import RunRequest
from service.execution.seccomp import profile_text
from service.images.archives import context_of
from service.images.docker_images import DockerImages
from service.images.engine import BuildOrder, Description, LayerOrder
from tests.deployment.conftest import Proxy
from tests.execution.conftest import HARNESS, PROBE, TARGET, docker_runner, end_container, running_container

OWN = "org.tfbisect.engine-proxy"
KILLED = '{"container": ["abc"], "event": ["kill"]}'
NAMED = "t=tfbisect/six:1&networkmode=none"


def verdict(proxy_module: ModuleType, head: str, registry: str = "") -> int:
    """Return the status that a head alone is refused with, or 200."""
    try:
        proxy_module.check_parameters(proxy_module.read_call(head.encode("latin-1")), registry)
    except proxy_module.Refused as refusal:
        return int(refusal.status)
    return 200


@pytest.mark.parametrize(
    "line",
    [
        "GET /_ping",
        "HEAD /_ping",
        "GET /version",
        "GET /v1.41/info",
        "GET /v1.41/containers/json?all=1",
        "POST /v1.41/containers/create?name=x",
        "POST /v1.41/containers/abc/attach?stdin=1&stream=1",
        "POST /v1.41/containers/abc/start",
        "POST /v1.41/containers/abc/wait",
        "GET /v1.41/containers/abc/json",
        "GET /v1.41/containers/abc/logs?stdout=1",
        "GET /v1.41/containers/abc/archive?path=/opt",
        "PUT /v1.41/containers/abc/archive?path=/opt/tfbisect",
        "POST /v1.41/commit?container=abc&repo=tfbisect%2Fsix&tag=1",
        "DELETE /v1.41/containers/abc?force=1&v=1",
        f"POST /v1.41/build?{NAMED}&remote=None&buildargs=%7B%7D&rm=1&forcerm=1&q=0",
        "POST /v1.41/images/create?fromImage=python&tag=3.6-slim",
        "GET /v1.41/images/tfbisect/tensorflow:1.12.0-cpu/json",
        "GET /v1.41/images/sha256:abc/json",
        "GET /v1.41/distribution/tensorflow/tensorflow:1.8.0-gpu-py3/json",
        "DELETE /v1.41/images/tfbisect/six:1?force=False&noprune=False",
        f"GET /v1.41/events?since=1&until=2&filters={quote(KILLED)}",
    ],
)
def test_the_calls_that_tfbisect_makes_pass(proxy_module: ModuleType, line: str) -> None:
    assert verdict(proxy_module, f"{line} HTTP/1.1\r\nHost: x") == 200


@pytest.mark.parametrize(
    "line",
    [
        "POST /v1.41/containers/abc/exec",
        "POST /v1.41/exec/abc/start",
        "POST /v1.41/containers/abc/update",
        "POST /v1.41/containers/abc/rename?name=tfbisect",
        "GET /v1.41/containers/abc/export",
        "GET /v1.41/containers/abc/attach/ws",
        "PUT /v1.41/containers/abc/archive?path=/opt&copyUIDGID=1",
        "PUT /v1.41/containers/abc/start",
        "POST /v1.41/containers/prune",
        "GET /v1.41/images/get?names=postgres",
        "POST /v1.41/images/tfbisect/six:1/push",
        "POST /v1.41/images/tfbisect/six:1/tag?repo=tfbisect/service",
        "POST /v1.41/images/load",
        "POST /v1.41/images/prune",
        "POST /v1.41/commit",
        "POST /v1.41/commit?container=abc",
        "POST /v1.41/commit?container=abc&repo=postgres&tag=16",
        "POST /v1.41/commit?container=abc&repo=tfbisect/six&tag=1&changes=USER%20root",
        "POST /v1.41/commit?container=../images&repo=tfbisect/six&tag=1",
        "POST /v1.41/build/prune",
        "POST /v1.41/session",
        "POST /v1.41/grpc",
        "GET /v1.41/events",
        "GET /v1.41/events?since=1&until=2",
        "GET /v1.41/events?filters=%7B%22container%22%3A%5B%22abc%22%5D%7D",
        "GET /v1.41/events?until=2&filters=%7B%22container%22%3A%5B%5D%7D",
        "GET /v1.41/events?until=2&filters=%7B%22container%22%3A%5B%22abc%22%5D%2C%22type%22%3A%5B%22image%22%5D%7D",
        "GET /v1.41/events?until=2&filters=%7B%22container%22%3A%5B%22a%2Fb%22%5D%7D",
        f"GET /v1.41/events?until=2&filters={'%5B' * 20_000}",
        "POST /v1.41/containers/abc/start?checkpoint=before&checkpoint-dir=/tmp",
        "POST /v1.41/containers/abc/start?detachKeys=ctrl-c",
        "POST /v1.41/containers/abc/attach?stream=1&detachKeys=ctrl-c",
        "GET /v1.41/containers/abc/json?size=1",
        "DELETE /v1.41/containers/abc?link=1",
        "GET /v1.41/info?anything=1",
        "GET /v1.41/system/df",
        "POST /v1.41/auth",
        "GET /v1.41/volumes",
        "POST /v1.41/volumes/create",
        "DELETE /v1.41/volumes/database",
        "GET /v1.41/networks",
        "POST /v1.41/networks/create",
        "POST /v1.41/networks/bridge/connect",
        "POST /v1.41/plugins/pull?remote=x",
        "POST /v1.41/swarm/init",
        "GET /v1.41/secrets",
        "GET /v1.41/images/../secrets/json",
        "GET /v1.41/images/%2e%2e/secrets/json",
        "POST /v1.41/containers/abc/%65xec",
        "POST /v1.41/v1.41/containers/create",
        "POST //containers/create",
        "POST /v1.23/containers/abc/start",
        "POST /v1.9/containers/create",
        "CONNECT /v1.41/info",
        "OPTIONS /v1.41/info",
        f"POST /v1.41/build?{NAMED}&remote=http://169.254.169.254/",
        f"POST /v1.41/build?{NAMED}&extrahosts=a:1.2.3.4",
        f"POST /v1.41/build?{NAMED}&version=2",
        "POST /v1.41/build?t=tfbisect/six:1",
        "POST /v1.41/build?t=tfbisect/six:1&networkmode=host",
        "POST /v1.41/build?t=postgres:16&networkmode=none",
        "POST /v1.41/build?networkmode=none",
        "POST /v1.41/images/create?fromSrc=http://169.254.169.254/",
        "POST /v1.41/images/create?fromSrc=-&repo=postgres",
        "DELETE /v1.41/images/tfbisect/six:1?force=1",
    ],
)
def test_every_other_call_is_refused(proxy_module: ModuleType, line: str) -> None:
    assert verdict(proxy_module, f"{line} HTTP/1.1\r\nHost: x") == 403


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /info HTTP/1.0\r\nHost: x", 403),
        ("GET  /info HTTP/1.1\r\nHost: x", 403),
        ("GET http://engine/info HTTP/1.1\r\nHost: x", 403),
        ("GET /info HTTP/1.1\nPOST /swarm/init HTTP/1.1\r\nHost: x", 403),
        ("GET /info HTTP/1.1\r\nHost: x\nTransfer-Encoding: chunked", 400),
        ("GET /info HTTP/1.1\r\nHost: x\r\n folded: y", 400),
        ("GET /info HTTP/1.1\r\nHost : x", 400),
        ("GET /info HTTP/1.1\r\nContent-Length: 0\r\ncontent-length: 9", 400),
        (f"POST /build?{NAMED}&t=postgres HTTP/1.1\r\nHost: x", 400),
        (f"POST /build?{NAMED}&NetworkMode=host HTTP/1.1\r\nHost: x", 400),
    ],
)
def test_a_head_that_two_readers_may_read_differently_is_refused(
    proxy_module: ModuleType, head: str, status: int
) -> None:
    assert verdict(proxy_module, head) == status


SAFE: dict[str, Any] = {"NetworkMode": "none", "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"]}


@pytest.mark.parametrize(
    "more",
    [
        {"Privileged": True},
        {"Binds": ["/:/host"]},
        {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]},
        {"Mounts": [{"Type": "volume", "Source": "database", "Target": "/host"}]},
        {"VolumesFrom": ["database"]},
        {"CapAdd": ["SYS_ADMIN"]},
        {"PidMode": "host"},
        {"PidMode": "container:database"},
        {"IpcMode": "host"},
        {"UsernsMode": "host"},
        {"UTSMode": "host"},
        {"CgroupnsMode": "host"},
        {"CgroupParent": "/"},
        {"NetworkMode": "host"},
        {"NetworkMode": "bridge"},
        {"NetworkMode": "container:database"},
        {"Devices": [{"PathOnHost": "/dev/sda"}]},
        {"DeviceCgroupRules": ["a *:* rwm"]},
        {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["vendor.com/disk=all"]}]},
        {"SecurityOpt": ["seccomp=unconfined"]},
        {"SecurityOpt": ["seccomp=null"]},
        {"SecurityOpt": ["seccomp="]},
        {"SecurityOpt": ['seccomp={"defaultAction": "SCMP_ACT_ALLOW"}']},
        {"SecurityOpt": ["label=disable"]},
        {"SecurityOpt": ["systempaths=unconfined"]},
        {"Sysctls": {"kernel.shm_rmid_forced": "1"}},
        {"OomScoreAdj": -1000},
        {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://10.0.0.1:1"}}},
        {"RestartPolicy": {"Name": "always"}},
        {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}},
        {"ExtraHosts": ["a:1.2.3.4"]},
        {"privileged": True},
        {"Privileged": "yes"},
    ],
    ids=json.dumps,
)
def test_a_container_with_rights_is_refused(proxy_module: ModuleType, more: dict[str, Any]) -> None:
    with pytest.raises(proxy_module.Refused):
        proxy_module.checked_description(json.dumps({"HostConfig": {**SAFE, **more}}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"HostConfig": {}}',
        b'{"HostConfig": [1]}',
        b'{"HostConfig": {"NetworkMode": "none"}, "hostconfig": {"Privileged": true}}',
        b'{"HostConfig": {"NetworkMode": "none"}, "NetworkingConfig": {"EndpointsConfig": {"inner": {}}}}',
        b'{"HostConfig": {"NetworkMode": "none"}, "Volumes": {"/x": {}}}',
        b'{"HostConfig": {"NetworkMode": "none"}, "Labels": {"com.docker.compose.project": "tfbisect"}}',
        b'{"HostConfig": {"NetworkMode": "none"}, "Labels": ["a"]}',
        b"[]",
        b"not JSON",
        b"\xff",
    ],
)
def test_a_description_that_reaches_further_or_cannot_be_read_is_refused(proxy_module: ModuleType, body: bytes) -> None:
    with pytest.raises(proxy_module.Refused):
        proxy_module.checked_description(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"Labels": {"org.tfbisect.part": "packages"}, "Entrypoint": ["/bin/sh"]}',
        b'{"Labels": {"org.tfbisect.part": "packages"}, "Volumes": {"/x": {}}}',
        b'{"Labels": {"org.tfbisect.part": "packages", "com.docker.compose.project": "tfbisect"}}',
        b'{"Labels": {"org.tfbisect.package": "six"}}',
        b'{"Labels": {}}',
        b"{}",
        b"null",
        b"[]",
        b"not JSON",
    ],
)
def test_a_committed_image_that_reaches_further_or_is_not_said_to_be_ours_is_refused(
    proxy_module: ModuleType, body: bytes
) -> None:
    with pytest.raises(proxy_module.Refused):
        proxy_module.checked_commit(body)


def test_what_the_runner_asks_for_passes_whole_and_is_marked(proxy_module: ModuleType) -> None:
    asked = container_config(
        "image", ["true"], Limits(), user=1, labels={RUN_LABEL: "x"}, runtime="runsc", seccomp=profile_text()
    )
    passed = json.loads(proxy_module.checked_description(json.dumps(asked).encode()))
    assert passed["Labels"].pop(OWN) == "yes"
    del asked["HostConfig"]["Privileged"]  # false, which is the default
    assert passed == {name: value for name, value in asked.items() if value or name in proxy_module.OUTER}


def test_an_empty_list_that_would_unmask_the_hosts_proc_is_not_passed_on(proxy_module: ModuleType) -> None:
    body = json.dumps({"HostConfig": {**SAFE, "MaskedPaths": [], "ReadonlyPaths": []}}).encode()
    assert set(json.loads(proxy_module.checked_description(body))["HostConfig"]) == set(SAFE)


def test_events_are_narrowed_to_tfbisects_own_containers(proxy_module: ModuleType) -> None:
    asked = {"container": ["abc"], "event": ["kill"]}
    narrowed = json.loads(proxy_module.event_filters(json.dumps(asked)))
    assert narrowed == {**asked, "type": ["container"], "label": [f"{OWN}=yes"]}


def test_a_built_image_cannot_pass_the_mark_of_an_own_container_on(proxy_module: ModuleType) -> None:
    assert json.loads(proxy_module.build_labels(json.dumps({OWN: "yes", "a": "b"}))) == {OWN: "no", "a": "b"}


def test_an_engine_that_does_not_say_whose_an_image_is_is_no_leave_to_remove_it(
    proxy_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = proxy_module.Handler.__new__(proxy_module.Handler)
    monkeypatch.setattr(handler, "ask", lambda _: (500, {"message": "database is locked"}))
    call = proxy_module.read_call(b"DELETE /v1.41/images/postgres:16 HTTP/1.1\r\nHost: x")
    with pytest.raises(proxy_module.Refused, match="database is locked"):
        handler.check_owner(call)


@pytest.fixture
def foreign(engine: docker.DockerClient, image: str) -> Iterator[str]:
    """Return a container that did not come through the filter."""
    made = engine.containers.create(image, ["sleep", "60"], network_mode="none")
    yield str(made.id)
    made.remove(force=True)


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> str:
    found = engine.images.list(filters={"label": "org.tfbisect.part=ground"})
    if not found:
        pytest.skip("no base image is here; `tfbisect images bases 1.9` makes one")
    return str(found[0].id)


@pytest.fixture
def own(engine: docker.DockerClient, proxy: Proxy, image: str) -> Iterator[str]:
    """Return a container that came through the filter, not started."""
    body = json.dumps({"Image": image, "Cmd": ["sleep", "60"], "HostConfig": SAFE}).encode()
    status, said = proxy.call("POST /v1.41/containers/create", body)
    assert status == 201, said
    made = str(json.loads(said.partition(b"\r\n\r\n")[2])["Id"])
    yield made
    engine.api.remove_container(made, force=True)


@pytest.mark.parametrize(
    "line",
    [
        "POST /v1.41/containers/{}/attach?stdin=1&stream=1",
        "GET /v1.41/containers/{}/json",
        "GET /v1.41/containers/{}/logs?stdout=1",
        "GET /v1.41/containers/{}/archive?path=/run/secrets",
        "POST /v1.41/containers/{}/start",
        "DELETE /v1.41/containers/{}?force=1",
        "PUT /v1.41/containers/{}/archive?path=/opt",
        "POST /v1.41/commit?container={}&repo=tfbisect/six&tag=1",
    ],
)
def test_a_container_of_others_is_out_of_reach(proxy: Proxy, foreign: str, line: str) -> None:
    status, said = proxy.call(line.format(foreign[:12]), b"", "Connection: Upgrade", "Upgrade: tcp")
    assert (status, b"not tfbisect's" in said) == (403, True)


def test_a_container_that_runs_is_neither_filled_nor_committed(
    engine: docker.DockerClient, proxy: Proxy, own: str
) -> None:
    engine.api.start(own)
    fill = f"PUT /v1.41/containers/{own}/archive?path=/opt"
    assert proxy.call(f"POST /v1.41/commit?container={own}&repo=tfbisect/six&tag=1", b"{}")[0] == 403
    assert proxy.call(fill, b"")[0] == 403
    engine.api.kill(own)
    assert proxy.call(fill, b"")[0] == 403


def test_containers_of_others_are_not_listed(proxy: Proxy, foreign: str, own: str) -> None:
    _, said = proxy.call("GET /v1.41/containers/json?all=1")
    assert (own.encode() in said, foreign.encode() in said) == (True, False)


def test_events_of_own_containers_pass_and_those_of_others_do_not(
    engine: docker.DockerClient, proxy: Proxy, foreign: str, own: str
) -> None:
    for container in (foreign, own):
        engine.api.start(container)
        engine.api.kill(container)
    until = int(time.time()) + 1
    client = docker.DockerClient(base_url=proxy.address)
    try:
        assert orders_to_end(client.api, own, until) is True
        assert orders_to_end(client.api, foreign, until) is False
        assert orders_to_end(engine.api, foreign, until) is True
        assert (is_filtered(client.api), is_filtered(engine.api)) == (True, False)
    finally:
        client.close()


def test_an_image_of_others_is_neither_removed_nor_its_name_taken(
    engine: docker.DockerClient, proxy: Proxy, own: str
) -> None:
    name = f"tfbisect/foreign:{uuid.uuid4().hex[:8]}"
    engine.api.import_image_from_data(b"\0" * 10240, *name.split(":"))
    try:
        assert proxy.call(f"DELETE /v1.41/images/{name}")[0] == 403
        assert proxy.call(f"POST /v1.41/build?t={name}&networkmode=none", b"x")[0] == 403
        named = name.replace(":", "&tag=")
        status, said = proxy.call(f"POST /v1.41/commit?container={own}&repo={named}", b'{"Labels": {}}')
        assert (status, name.encode() in said) == (403, True)
    finally:
        engine.images.remove(name)


def test_nothing_passes_behind_an_allowed_call(engine: docker.DockerClient, proxy: Proxy, own: str) -> None:
    """A second call in the same breath, once after a plain call and once after an attach that fails."""
    hidden = b"GET /v1.41/volumes HTTP/1.1\r\nHost: x\r\n\r\n"
    upgrade = b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    plain = proxy.says(b"GET /_ping HTTP/1.1\r\nHost: x\r\n" + upgrade + hidden)
    attach = f"POST /v1.41/containers/{own}/attach HTTP/1.1\r\nHost: x\r\n".encode()
    # Without a stream asked for the engine refuses to attach, and would read on.
    refused = proxy.says(attach + upgrade + hidden)
    for said in (plain, refused):
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"Volumes" not in said


def test_a_start_with_a_description_of_its_own_is_refused(engine: docker.DockerClient, proxy: Proxy, own: str) -> None:
    rights = b'{"Privileged": true}'
    assert proxy.call(f"POST /v1.23/containers/{own}/start", rights)[0] == 403
    assert proxy.call(f"POST /v1.41/containers/{own}/start", rights)[0] == 403
    chunked = f"POST /v1.41/containers/{own}/start HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert proxy.says(chunked.encode()).startswith(b"HTTP/1.1 403")
    assert engine.api.inspect_container(own)["State"]["Status"] == "created"


def test_a_description_in_chunks_is_refused(proxy: Proxy) -> None:
    body = b'{"HostConfig": {"Privileged": true}}'
    head = b"POST /v1.41/containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert proxy.says(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)).startswith(b"HTTP/1.1 403")


def test_a_form_in_the_body_changes_no_parameter(proxy: Proxy) -> None:
    form = b"fromSrc=http://127.0.0.1:9/"
    status, _ = proxy.call(
        "POST /v1.41/images/create?fromImage=localhost:9/nothing&tag=1",
        form,
        "Content-Type: application/x-www-form-urlencoded",
    )
    assert status == 403


def test_images_are_built_run_and_removed_through_it(proxy: Proxy, image: str, tmp_path: Path) -> None:
    client = docker.DockerClient(base_url=proxy.address)
    images = DockerImages(client)
    name = f"tfbisect/proxied:{uuid.uuid4().hex[:8]}"
    dockerfile = f"FROM {image}\nRUN echo built > /opt/first\n".encode()
    part = {"org.tfbisect.part": "test"}
    built = images.build(BuildOrder(context_of({"Dockerfile": dockerfile}), name, {}, part))
    archive = b"".join(context_of({"opt/second": b"laid\n"}))
    finish = ["sh", "-c", "echo run > $1/opt/third", "finish"]
    order = LayerOrder(
        built.id, lambda: iter((archive,)), len(archive), tmp_path, "/opt", finish, Description(f"{name}-laid", part)
    )
    laid = images.lay(order)
    try:
        assert images.run(laid.id, ["cat", "/opt/first", "/opt/second", "/opt/third"]) == "built\nlaid\nrun\n"
        assert laid.labels[OWN] == "no"  # containers that others make of it are theirs
    finally:
        assert images.remove(f"{name}-laid")
        assert images.remove(name)
        client.close()


@pytest.mark.parametrize(
    ("line", "registry", "status"),
    [
        ("/images/tfbisect/six:1/tag?repo=r.example:5000/team/six&tag=1", "r.example:5000/team", 200),
        ("/images/r.example:5000/team/six/push?tag=1", "r.example:5000/team", 200),
        ("/images/sha256:abc/tag?repo=tfbisect/six&tag=1", "", 200),
        ("/images/r.example:5000/team/six/push?tag=1", "", 403),
        ("/images/r.example:5000/other/six/push?tag=1", "r.example:5000/team", 403),
        ("/images/r.example:5000/team/six/push", "r.example:5000/team", 403),
        ("/images/tfbisect/six/push?tag=1", "r.example:5000/team", 403),
        ("/images/tfbisect/six:1/tag?repo=postgres&tag=16", "r.example:5000/team", 403),
        ("/images/tfbisect/six:1/tag?repo=rxexample:5000/team/six&tag=1", "r.example:5000/team", 403),
    ],
)
def test_images_are_pushed_only_to_the_registry_that_the_filter_knows(
    proxy_module: ModuleType, line: str, registry: str, status: int
) -> None:
    assert verdict(proxy_module, f"POST {line} HTTP/1.1", registry) == status


@pytest.mark.parametrize(
    ("how", "answer"),
    [("remove", Lost), ("kill", Lost), ("stop", Lost), ("itself", Outcome)],
)
def test_behind_the_filter_a_run_that_somebody_ended_is_lost_and_one_that_ended_itself_is_not(
    engine: docker.DockerClient, proxy: Proxy, image: str, how: str, answer: type
) -> None:
    client = docker.DockerClient(base_url=proxy.address)
    runner = docker_runner(client, image)
    snippet = "import os; os.kill(os.getpid(), 9)" if how == "itself" else "import time; time.sleep(60)"
    request = RunRequest(uuid.uuid4().hex, TARGET, HARNESS, PROBE, "", snippet, {}, 60)
    try:
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(runner.run, request, threading.Event())
            if how != "itself":
                end_container(engine.api, how, running_container(engine.api, request.run_id))
            report = run.result(90)
    finally:
        runner.close()
        client.close()
    assert type(classify(report, lambda _: Outcome("measured"))) is answer, report

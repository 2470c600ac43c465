"""The compose file: who gets what. That it runs is shown by deploy/check.py, which brings it up."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parent.parent.parent
FROM_OUTSIDE = {"database"}
"""An image that is not ours, which makes its own choice of user and files."""


@cache
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


def test_the_filter_alone_has_the_engines_socket() -> None:
    holders = [name for name, service in services().items() if "docker.sock" in str(service.get("volumes"))]
    assert holders == ["engine-proxy"]


def test_the_web_service_shares_no_network_with_the_filter_and_knows_no_engine() -> None:
    web, proxy = services()["web"], services()["engine-proxy"]
    assert not set(web["networks"]) & set(proxy["networks"])
    assert "DOCKER_HOST" not in web["environment"]
    assert "web" in web["command"]


def test_the_filter_and_the_database_are_on_inner_networks_only() -> None:
    inner = {name for name, network in compose()["networks"].items() if network.get("internal")}
    for name in ("engine-proxy", "database"):
        assert set(services()[name]["networks"]) <= inner
        assert "ports" not in services()[name]


@pytest.mark.parametrize("name", sorted(services()))
def test_every_service_is_bounded_and_cannot_gain_privileges(name: str) -> None:
    service = services()[name]
    assert service["mem_limit"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    if name not in FROM_OUTSIDE:
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["pids_limit"]


def test_a_worker_is_one_of_a_scheduler_and_has_no_database() -> None:
    worker, scheduler = services()["worker"], services()["scheduler"]
    assert (worker["command"], scheduler["command"][0]) == (["worker"], "scheduler")
    assert "inner" not in worker["networks"] + scheduler["networks"]
    assert not {"tfbisect_database_url", "postgres_password"} & {*worker["secrets"], *scheduler["secrets"]}
    assert "engine" not in scheduler["networks"]
    for name in ("worker", "scheduler", "cluster"):
        assert services()[name]["environment"]["TFBISECT_SCHEDULER"].startswith("tls://")


def test_the_port_is_published_on_loopback_unless_somebody_says_otherwise() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    addresses = [port.partition(":-")[2] for ports in published.values() for port in ports]
    assert all(address.startswith("127.0.0.1:") for address in addresses), published
    assert set(published) == {"web", "scheduler"}


def test_every_variable_and_secret_that_a_service_gets_is_a_setting() -> None:
    settings = {f"TFBISECT_{name.upper()}" for name in Settings.model_fields}
    given = {name for service in services().values() for name in service.get("environment", ())}
    others = {"POSTGRES_PASSWORD", "CLUSTER_CA", "CLUSTER_CERTIFICATE", "CLUSTER_KEY"}
    files = {secret.upper() for secret in compose()["secrets"]} - others
    assert {name for name in given | files if name.startswith("TFBISECT_")} <= settings


def test_no_secret_is_written_in_the_file() -> None:
    assert all(set(secret) == {"file"} for secret in compose()["secrets"].values())


def test_every_variable_of_the_compose_file_is_documented() -> None:
    text, page = (ROOT / "docker-compose.yml").read_text(), (ROOT / "docs" / "deployment.md").read_text()
    variables = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert {name for name in variables if f"`{name}`" not in page} == set()


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_accepts_the_file_with_every_profile(tmp_path: Path) -> None:
    for secret in compose()["secrets"].values():
        file = tmp_path / secret["file"].partition("}/")[2]
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    command = ["docker-compose", "--file", str(ROOT / "docker-compose.yml")]
    for profile in ("cluster", "gpu"):
        command += ["--profile", profile]
    done = subprocess.run(
        [*command, "config"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "TFBISECT_SECRETS": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(yaml.safe_load(done.stdout)["services"]) == set(services())


def locked(path: Path) -> dict[str, set[str]]:
    """Return the hashes of each pinned version in a lock."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if match := re.match(r"([\w.-]+==\S+)", line):
            name = match.group(1)
        elif match := re.match(r"\s+--hash=(\S+)", line):
            found.setdefault(name, set()).add(match.group(1))
    return found


def test_the_image_installs_what_was_tested_and_nothing_else() -> None:
    tested, deployed = locked(ROOT / "requirements.lock"), locked(ROOT / "deploy" / "requirements.lock")
    assert {name: hashes for name, hashes in deployed.items() if tested.get(name) != hashes} == {}

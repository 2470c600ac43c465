"""Bring the compose file up for real, bisect through it, and take it down again: ten minutes, standard library only.

    sudo python3 deploy/check.py [--keep] [--build 1.8.0]

Root makes bases and kills the coordinator as a crash would: one that `docker kill` ended is not started again.

What it does is what docs/deployment.md says: bases where no registry answers, secrets, build, up, a token, a bisection
by REST whose coordinator is killed half-way, an upgrade and the way back. Everything that it makes is called
tfbisect-check and removed at the end; images of releases stay, since they are of use to everybody on the engine.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "tfbisect-check"
PORT = 18099
ADDRESS = f"http://127.0.0.1:{PORT}"
SCRIPT = (ROOT / "examples" / "dropout_tutorial.py").read_text()
RELEASES = "1.9..1.14"
CLUSTER_RELEASES = "1.10.0,1.11.0,1.13.1"
TRUTH = [("introduced", "1.10.0", "1.11.0"), ("fixed", "1.12.0", "1.13.1")]
PATIENCE_SECONDS = 1800
REACHES = "import socket; socket.create_connection(('engine-proxy', 2375), 3)"
PEEPS = """
import docker, socket
api = docker.from_env().api
try:
    print(api.inspect_container('%s')['Id'])
except docker.errors.APIError as error:
    print(error.status_code)
"""


class Failed(Exception):
    """Something does not hold."""


def say(words):
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


def must(holds, words):
    if not holds:
        raise Failed(words)
    say(f"  holds: {words}")


def run(*command, given=None, check=True, **variables):
    """Run a command and return what it printed."""
    done = subprocess.run(
        command, input=given, capture_output=True, check=False, cwd=ROOT, env={**os.environ, **variables}
    )
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-1500:]}")
    return done.stdout if check else done.returncode


class Stack:
    """The services of the compose file."""

    def __init__(self, folder):
        self.variables = {
            "COMPOSE_PROJECT_NAME": PROJECT,
            "TFBISECT_SECRETS": str(folder),
            "TFBISECT_PORT": f"127.0.0.1:{PORT}",
            "TFBISECT_REQUIRE_TOKEN": "true",
            "TFBISECT_IMAGE": f"{PROJECT}/service:one",
            "TFBISECT_PROXY_IMAGE": f"{PROJECT}/engine-proxy:one",
        }
        self.compose = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        self.token = ""

    def __call__(self, *arguments, **options):
        return run(*self.compose, *arguments, **options, **self.variables)

    def container(self, service):
        """Return what the engine says of a service's container."""
        found = self("ps", "--quiet", service).decode().split()
        return json.loads(run("docker", "inspect", *found))[0]

    def ask(self, path, body=None):
        """Make a call by REST; return status and JSON."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(ADDRESS + path, data, headers), timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def wait_until_ready(self):
        until(lambda: self.ask("/readyz")[0] == 200, 120, "the web service is ready")


def until(holds, seconds, words):
    """Wait for something that nothing announces."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return
        except OSError:
            pass  # nobody listens yet
        time.sleep(1)  # nothing tells when it holds
    raise Failed(f"not within {seconds} s: {words}")


def prepare_bases():
    """Take the registry's images, or make bases here."""
    if os.environ.get("BASE_IMAGE") or run("docker", "pull", "--quiet", "python:3.12-slim", check=False) == 0:
        return
    say("no registry answers: bases are made here (deploy/local_bases.sh)")
    run("sh", "deploy/local_bases.sh")
    os.environ.update(BASE_IMAGE="tfbisect-local/python", POSTGRES_IMAGE="tfbisect-local/postgres")


def write_secrets(folder):
    password = secrets.token_hex(24)
    files = {
        "postgres_password": password,
        "tfbisect_database_url": f"postgresql://tfbisect:{password}@database/tfbisect",
        "tfbisect_webhook_secret": secrets.token_hex(32),
    }
    for name, content in files.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o644)
    write_certificates(folder / "cluster")


def write_certificates(folder):
    """Make what scheduler and workers show each other, as docs/scale.md says."""
    folder.mkdir()
    page = (ROOT / "docs" / "scale.md").read_text()
    run("sh", "-ec", "cd " + str(folder) + page.partition("```sh\n# certificates")[2].partition("```")[0])
    (folder / "key.pem").chmod(0o644)


def check_separation(stack):
    """Only the filter has the socket; the web service cannot even reach the filter."""
    for service in ("web", "coordinator", "nightly", "database"):
        facts = stack.container(service)
        must(
            not facts["HostConfig"]["Binds"] or "docker.sock" not in str(facts["HostConfig"]),
            f"{service} has no socket",
        )
        must(not facts["HostConfig"]["Privileged"], f"{service} is not privileged")
    must(stack.container("web")["Config"]["User"] == "10001:10001", "web is not root")
    must(
        f"{PROJECT}_engine" not in stack.container("web")["NetworkSettings"]["Networks"],
        "web is not on the engine's network",
    )
    must(stack("exec", "-T", "web", "python3", "-c", REACHES, check=False) != 0, "web cannot reach the filter")
    must(stack("exec", "-T", "coordinator", "python3", "-c", REACHES, check=False) == 0, "the coordinator can")
    database = stack.container("database")["Id"]
    seen = stack("exec", "-T", "coordinator", "/opt/tfbisect/bin/python", "-c", PEEPS % database).decode().split()
    must(seen == ["403"], "the coordinator cannot look at the database's container through the filter")


def make_token(stack):
    made = stack(
        "exec",
        "-T",
        "web",
        "tfbisect",
        "tokens",
        "create",
        "--name",
        "check",
        "--scope",
        "read",
        "--scope",
        "submit",
        "--json",
    )
    return json.loads(made)["token"]


def submit(stack, releases, **more):
    asked = {"snippet": SCRIPT, "probe": "dropout", "releases": releases, **more}
    status, made = stack.ask("/api/v1/bisections", asked)
    must(status in (200, 202), f"{releases} is taken ({status})")
    return made["id"]


def wait_for(stack, bisection, holds, words):
    """Wait for a state of a bisection and return it."""
    found = {}

    def reached():
        found.update(stack.ask(f"/api/v1/bisections/{bisection}")[1])
        return holds(found)

    until(reached, PATIENCE_SECONDS, words)
    return found


def ids(state):
    return {observation["id"] for observation in state["observations"]}


def ended(state):
    return state["status"] not in ("queued", "running")


def bisect_and_kill(stack):
    """Reach the verdict although the coordinator dies half-way."""
    begun = time.monotonic()
    bisection = submit(stack, RELEASES)
    wait_for(stack, bisection, lambda now: ended(now) or len(now["observations"]) > 1, "two observations are stored")
    before = stack.container("coordinator")["State"]
    os.kill(before["Pid"], signal.SIGKILL)
    kept = ids(stack.ask(f"/api/v1/bisections/{bisection}")[1])
    say(f"  the coordinator was killed after {len(kept)} observations")
    until(lambda: stack.container("coordinator")["State"]["Pid"] not in (0, before["Pid"]), 60, "it is started again")
    final = wait_for(stack, bisection, ended, "a verdict")
    must(final["status"] == "done", f"the bisection is done: {final.get('error')}")
    changes = [(change["kind"], change["before"], change["after"]) for change in final["verdict"]["changes"]]
    must(changes == TRUTH, f"the verdict is true: {changes}")
    must(final["verdict"]["runner"] == "docker", "measured in real containers")
    must(kept <= ids(final), f"what was observed before the kill is part of it: {final['verdict']['runs']}")
    must(len(ids(final)) == len(final["observations"]), "no observation is there twice")
    say(f"  verdict after {time.monotonic() - begun:.0f} s")
    check_events(stack, bisection, len(final["observations"]))
    again = stack.ask("/api/v1/bisections", {"snippet": SCRIPT, "probe": "dropout", "releases": RELEASES})
    must(again[0] == 200, "the same question is answered from what is stored")
    return bisection


def check_events(stack, bisection, observations):
    """Read the whole stream of a bisection that is over."""
    call = urllib.request.Request(f"{ADDRESS}/api/v1/bisections/{bisection}/events")
    call.add_header("Authorization", f"Bearer {stack.token}")
    with urllib.request.urlopen(call, timeout=60) as answer:
        names = [line[7:].strip() for line in answer.read().decode().splitlines() if line.startswith("event: ")]
    must(names[-2:] == ["verdict", "end"], f"the events end with the verdict: {names}")
    must(names.count("observation") >= observations, "every observation was an event")


def build_image(stack, release):
    """Measure a release whose image has to be built, through the filter."""
    listed = run("docker", "images", "--quiet", f"tfbisect/tensorflow:{release}-*")
    say(f"  an image of {release} is {'there already' if listed.strip() else 'not there'}")
    begun = time.monotonic()
    final = wait_for(stack, submit(stack, f"{release},1.10.0"), ended, "a verdict")
    must(
        final["status"] == "done" and final["verdict"]["releases"]["measured"] == 2,
        f"{release} was measured: {final.get('error')}",
    )
    must(
        run("docker", "images", "--quiet", f"tfbisect/tensorflow:{release}-*").strip(),
        f"the image of {release} is there",
    )
    say(f"  after {time.monotonic() - begun:.0f} s")


def more_services(stack, bisection):
    """A second coordinator, and a pass of the nightly over one watch."""
    stack("--profile", "cluster", "up", "-d", "--scale", "coordinator=0")
    until(lambda: stack.container("worker")["State"]["Running"], 30, "the worker runs")
    final = wait_for(stack, submit(stack, CLUSTER_RELEASES, fresh=True), ended, "a verdict of the cluster")
    must(final["status"] == "done", f"the scheduler's worker answers: {final.get('error')}")
    stack("up", "-d")
    stack("exec", "-T", "nightly", "tfbisect", "watch", "add", bisection, "--name", "check")
    nightly = ("run", "--rm", "-T", "-e", "TFBISECT_WATCHES_DIR=/tmp", "nightly", "nightly")
    must(stack(*nightly, check=False) == 0, "the nightly makes its pass and nothing changed")
    must(stack.container("worker")["RestartCount"] == 0, "the worker runs without falling over")


def upgrade_and_back(stack, bisection, folder):
    """Go to another image and back, with the backup that docs/deployment.md describes."""
    stack("--profile", "cluster", "stop", "web", "coordinator", "nightly", "worker", "cluster", "scheduler")
    dump = stack("exec", "-T", "database", *as_database("pg_dump -Fc tfbisect"))
    (folder / "backup").write_bytes(dump)
    say(f"  a backup of {len(dump)} bytes")
    first = stack.variables["TFBISECT_IMAGE"]
    run("docker", "tag", first, f"{PROJECT}/service:two")
    stack.variables["TFBISECT_IMAGE"] = f"{PROJECT}/service:two"
    stack("run", "--rm", "-T", "web", "db", "upgrade")
    stack("up", "-d")
    stack.wait_until_ready()
    must(stack.ask(f"/api/v1/bisections/{bisection}")[1]["status"] == "done", "after the upgrade everything is there")
    stack("stop", "web", "coordinator", "nightly")
    stack.variables["TFBISECT_IMAGE"] = first
    stack("exec", "-T", "database", *as_database("pg_restore --clean --if-exists -d tfbisect"), given=dump)
    stack("up", "-d")
    stack.wait_until_ready()
    must(stack.ask(f"/api/v1/bisections/{bisection}")[1]["status"] == "done", "after the way back everything is there")


def as_database(command):
    """Return a command for the database's container, with its password."""
    return ("sh", "-c", f"PGPASSWORD=$(cat /run/secrets/postgres_password) PGUSER=tfbisect PGHOST=127.0.0.1 {command}")


def check(stack, folder, given):
    prepare_bases()
    say("build")
    write_secrets(folder)
    stack("build")
    size = int(run("docker", "inspect", "-f", "{{.Size}}", f"{PROJECT}/service:one"))
    say(f"  the service's image: {size / 1e6:.0f} MB")
    say("up")
    stack("up", "-d")
    stack.wait_until_ready()
    check_separation(stack)
    must(stack.ask("/api/v1/bisections")[0] == 401, "without a token nothing is read")
    stack.token = make_token(stack)
    say("bisect, and kill the coordinator meanwhile")
    bisection = bisect_and_kill(stack)
    if given.build:
        say(f"build an image of {given.build} through the filter")
        build_image(stack, given.build)
    say("a worker, the nightly")
    more_services(stack, bisection)
    say("upgrade, and back")
    upgrade_and_back(stack, bisection, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the services running")
    parser.add_argument(
        "--build", metavar="RELEASE", default="", help="also measure a release whose image is not there"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stack = Stack(Path(scratch))
        try:
            check(stack, Path(scratch), given)
            say("everything holds")
        except Failed as failure:
            say(f"FAILED: {failure}")
            sys.stderr.buffer.write(stack("logs", "--tail", "40"))
            sys.exit(1)
        finally:
            if not given.keep:
                stack("--profile", "cluster", "down", "--volumes", "--remove-orphans")
                run(
                    "docker",
                    "rmi",
                    f"{PROJECT}/service:one",
                    f"{PROJECT}/service:two",
                    f"{PROJECT}/engine-proxy:one",
                    check=False,
                )


if __name__ == "__main__":
    main()

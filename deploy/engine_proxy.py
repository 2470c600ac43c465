"""A filter in front of the engine's socket: the calls that tfbisect needs, on its own containers, which get no rights.

Whoever can talk to the engine's socket is root on its host. This process is the only one that holds the socket; the
coordinator talks to it over an inner network. Nothing is passed on as it came: each call is read strictly, judged, and
written anew, one per connection, so that nothing can hide behind a call that was allowed. Standard library only.

    engine_proxy.py [--listen 0.0.0.0:2375] [--socket /var/run/docker.sock] [--registry registry.example.org/tfbisect]
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import socket
import socketserver
import threading
from urllib.parse import parse_qsl, quote, urlencode

CONTAINER = r"(?P<container>[a-zA-Z0-9][\w.-]*)"
IMAGE = r"(?P<image>[a-zA-Z0-9][\w.-]*(?:[/:@][a-zA-Z0-9][\w.-]*)*)"
ALLOWED = {
    "ping": r"(GET|HEAD) /_ping",
    "plain": r"GET /(version|info)",
    "list images": r"GET /images/json",
    "look at image": rf"GET /images/{IMAGE}/json",
    "look at registry": rf"GET /distribution/{IMAGE}/json",
    "own containers": r"GET /containers/json",
    "look": rf"GET /containers/{CONTAINER}/json",
    "logs": rf"GET /containers/{CONTAINER}/logs",
    "read": rf"GET /containers/{CONTAINER}/archive",
    "start": rf"POST /containers/{CONTAINER}/start",
    "wait": rf"POST /containers/{CONTAINER}/wait",
    "end container": rf"DELETE /containers/{CONTAINER}",
    "fill": rf"PUT /containers/{CONTAINER}/archive",
    "commit": r"POST /commit",
    "attach": rf"POST /containers/{CONTAINER}/attach",
    "events": r"GET /events",
    "create": r"POST /containers/create",
    "pull": r"POST /images/create",
    "build": r"POST /build",
    "remove image": rf"DELETE /images/{IMAGE}",
    "tag": rf"POST /images/{IMAGE}/tag",
    "push": rf"POST /images/{IMAGE}/push",
}
# What each call may be given. A parameter that is not here must be off, and is not passed on.
PARAMETERS = {
    "list images": {"all", "filters"},
    "own containers": {"all", "filters", "limit"},
    "logs": {"stdout", "stderr", "follow", "timestamps", "tail"},
    "read": {"path"},
    "wait": {"condition"},
    "end container": {"force", "v"},
    "attach": {"stdin", "stdout", "stderr", "stream"},
    "events": {"since", "until", "filters"},
    "create": {"name"},
    "pull": {"fromImage", "tag", "platform"},
    "build": {"t", "buildargs", "labels", "networkmode", "rm", "forcerm", "nocache", "pull", "q", "dockerfile"},
    "remove image": {"noprune"},
    "fill": {"path"},
    "commit": {"container", "repo", "tag"},
    "tag": {"repo", "tag"},
    "push": {"tag"},
}
BODY_TYPES = {
    "create": "application/json",
    "build": "application/x-tar",
    "fill": "application/x-tar",
    "commit": "application/json",
}
# Before 1.24 a start took a description of the container too, after creating it was judged.
OLDEST_VERSION = (1, 24)
LONGEST_HEAD = 64 * 1024
LONGEST_DESCRIPTION = 1024 * 1024
HEAD_SECONDS = 30
OFF = {"", "0", "no", "false", "none"}

OWN = "org.tfbisect.engine-proxy"
"""Label of the containers that were created through here; no others are touched or shown."""
NOT_OWN = "no"
UNREADABLE = (ValueError, AttributeError, TypeError, LookupError, RecursionError)
"""What reading a description of another shape than ours can end in."""
PART = "org.tfbisect.part"
"""Label of the images that tfbisect makes; no others are removed, and no other's name is taken."""


def anything(_):
    return True


def is_restriction(option):
    """Say whether a security option takes rights and gives none: a profile of system calls is ours to the letter."""
    name, _, profile = option.partition("=")
    return option in ("no-new-privileges", "no-new-privileges:true") or (
        name == "seccomp" and json.loads(profile) == shipped_profile()
    )


def shipped_profile():
    """Return the profile of system calls that comes with tfbisect: beside this file, or in the checkout."""
    here = pathlib.Path(__file__).resolve().parent
    places = (here / "seccomp.json", here.parent / "service" / "execution" / "seccomp.json")
    return next((json.loads(place.read_text(encoding="ascii")) for place in places if place.exists()), None)


# What a container may be described by. A key that is not here must be empty, and is not passed on.
OUTER = dict.fromkeys(
    "Image Entrypoint Cmd User WorkingDir Hostname Env NetworkDisabled AttachStdin AttachStdout AttachStderr OpenStdin "
    "StdinOnce Tty Healthcheck".split(),
    anything,
)
OUTER["Labels"] = lambda labels: all(name.startswith("org.tfbisect.") for name in labels)
# What an image that is committed may be described by.
COMMITTED = {name: OUTER[name] for name in ("Labels", "Env", "User", "Cmd")}
OUTER["HostConfig"] = anything
HOST = dict.fromkeys(
    "ReadonlyRootfs Tmpfs CapDrop Init ShmSize Memory MemorySwap NanoCpus PidsLimit Ulimits Runtime".split(), anything
)
HOST["NetworkMode"] = lambda mode: mode == "none"
HOST["IpcMode"] = lambda mode: mode in ("private", "none")
HOST["SecurityOpt"] = lambda options: all(map(is_restriction, options))
HOST["OomScoreAdj"] = lambda score: score >= 0
HOST["LogConfig"] = lambda log: log.get("Type") in ("none", "json-file", "") and not log.get("Config")
HOST["RestartPolicy"] = lambda policy: policy.get("Name") in ("no", "")
HOST["DeviceRequests"] = lambda requests: all(
    request.get("Driver") in (None, "", "nvidia")
    and not request.get("Options")
    and request.get("Capabilities")
    and all("gpu" in alternative for alternative in request["Capabilities"])
    for request in requests
)


class Refused(Exception):
    """A call that does not pass, with the HTTP status and the reason."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Call:
    """One call, read from its head."""

    def __init__(self, method, version, path, parameters, headers):
        self.method = method
        self.version = version
        self.path = path
        self.parameters = parameters
        self.headers = headers
        self.kind, self.names = judged(method, path)

    @property
    def target(self):
        query = urlencode(self.parameters)
        return self.version + quote(self.path, safe="/:@") + (f"?{query}" if query else "")


def read_call(head):
    """Read a head strictly: what two readers might read differently is refused."""
    line, *fields = head.split(b"\r\n")
    found = re.fullmatch(rb"(GET|HEAD|POST|PUT|DELETE) (/[!-~]*) HTTP/1\.1", line)
    if not found:
        raise Refused(403, f"{line[:200].decode('latin-1')!r} is not among the calls that tfbisect needs")
    headers = {}
    for field in fields:
        match = re.fullmatch(rb"([A-Za-z0-9-]+):[ \t]*([ -~]*?)[ \t]*", field)
        name = match and match.group(1).decode().lower()
        if not match or name in headers:
            raise Refused(400, "a header that can be read in two ways")
        headers[name] = match.group(2).decode()
    path, _, query = found.group(2).decode().partition("?")
    return Call(found.group(1).decode(), *split_version(path), read_query(query), headers)


def split_version(path):
    """Return the version in front of a path, and the rest."""
    found = re.match(r"/v(\d{1,3})\.(\d{1,3})(?=/)", path)
    if found and tuple(map(int, found.groups())) < OLDEST_VERSION:
        raise Refused(403, f"version {found.group()[2:]} of the engine's interface is too old")
    return path[: found.end() if found else 0], path[found.end() if found else 0 :]


def read_query(query):
    """Return the parameters of a call, each given once."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise Refused(400, "a query that cannot be read") from error
    if len(pairs) != len({name.lower() for name, _ in pairs}):
        raise Refused(400, "a parameter given twice")
    return dict(pairs)


def judged(method, path):
    """Return which allowed call this is, and the names in its path."""
    for kind, pattern in ALLOWED.items():
        if found := re.fullmatch(pattern, f"{method} {path}"):
            return kind, found.groupdict()
    raise Refused(403, f"{method} {path} is not among the calls that tfbisect needs")


def check_parameters(call, registry=""):
    """Refuse parameters that give a call more reach.

    A registry is where images may be pushed to; "" for nowhere.
    """
    known, given = PARAMETERS.get(call.kind, ()), call.parameters
    for name, value in list(given.items()):
        if name not in known:
            if value.lower() not in OFF:
                raise Refused(403, f"{call.kind} with {name}={value[:100]} is not among the calls that tfbisect needs")
            del given[name]
    if call.kind == "build":
        if given.get("networkmode") != "none":
            raise Refused(403, "a build must have networkmode=none")
        given["labels"] = build_labels(given.get("labels", "{}"))
    if call.kind == "events":
        given["filters"] = event_filters(given.get("filters", ""))
        if not re.fullmatch(r"\d{1,12}", given.get("until", "")):
            raise Refused(403, "events without an end: until must be seconds since the epoch")
    if call.kind == "commit" and not re.fullmatch(CONTAINER, given.get("container", "")):
        raise Refused(403, "a commit must be of a container")
    check_name(call, registry)


def check_name(call, registry):
    """Refuse names of images but the usual ones and, of what is pushed, those in the registry of this filter."""
    if call.kind in ("build", "commit") and not re.fullmatch(r"tfbisect/[\w.-]+:[\w.-]+", made_name(call.parameters)):
        raise Refused(403, f"a {call.kind} must be named tfbisect/NAME:TAG")
    if call.kind not in ("tag", "push"):
        return
    places = [registry] if registry else []
    if call.kind == "tag":
        places.append("tfbisect")
    name = new_name(call)
    if not any(re.fullmatch(rf"{re.escape(place)}/[\w.-]+:[\w.-]+", name) for place in places):
        raise Refused(403, f"{name} is in no registry that images may be pushed to")


def new_name(call):
    """Return the name that a tag gives, or that a push sends."""
    if call.kind == "tag":
        return made_name(call.parameters)
    return f"{call.names['image']}:{call.parameters.get('tag', '')}"


def build_labels(text):
    """Return the labels that a build gives; the last of them says that containers made of the image are not ours."""
    try:
        labels = dict(json.loads(text))
    except UNREADABLE as error:
        raise Refused(403, "a build whose labels cannot be read") from error
    return json.dumps({**labels, OWN: NOT_OWN})


def event_filters(text):
    """Return what the engine's events are narrowed to: those of tfbisect's own containers, whatever was asked."""
    try:
        asked = json.loads(text)
        if not set(asked) <= {"container", "event"} or not asked["container"]:
            raise Refused(403, "events of other things than of named containers")
        for name in [name for names in asked.values() for name in names]:
            if not re.fullmatch(CONTAINER, name):
                raise Refused(403, "events of a name that is none")
        narrowed = {name: list(names) for name, names in asked.items()}
    except UNREADABLE as error:
        raise Refused(403, "events whose filters cannot be read") from error
    return json.dumps({**narrowed, "type": ["container"], "label": [f"{OWN}=yes"]})


def made_name(parameters):
    """Return the name that a build or a commit gives."""
    return parameters.get("t") or f"{parameters.get('repo', '')}:{parameters.get('tag', '')}"


def checked_description(body):
    """Return the description of a container as it is passed on: only what is known to give no rights."""
    try:
        outer = kept(json.loads(body), OUTER, "")
        outer["HostConfig"] = kept(outer.get("HostConfig") or {}, HOST, "HostConfig.")
        outer["Labels"] = {**outer.get("Labels", {}), OWN: "yes"}
    except UNREADABLE as error:
        raise Refused(403, "a container whose description cannot be read") from error
    if "NetworkMode" not in outer["HostConfig"]:
        raise Refused(403, "a container without HostConfig.NetworkMode, which must be none")
    return json.dumps(outer).encode()


def checked_commit(body):
    """Return the description of a committed image as it is passed on, with labels that say it is tfbisect's."""
    try:
        outer = kept(json.loads(body), COMMITTED, "")
        # The container's own labels come into the image, and from there into containers that others make of it.
        outer["Labels"] = {**outer["Labels"], OWN: NOT_OWN}
        if PART not in outer["Labels"]:
            raise Refused(403, f"a committed image without the label {PART}")
    except UNREADABLE as error:
        raise Refused(403, "a committed image whose description cannot be read") from error
    return json.dumps(outer).encode()


def is_own(facts):
    """Say whether a container was created through here, by its labels."""
    return (facts.get("Labels") or {}).get(OWN, NOT_OWN) != NOT_OWN


def kept(given, rules, where):
    """Return what of a description is passed on; the engine reads keys in any case, so each must be as written here."""
    found = {}
    for name, value in given.items():
        if name in rules and value is not None:
            if not rules[name](value):
                raise Refused(403, f"a container with {where}{name}={json.dumps(value)[:100]}")
            found[name] = value
        elif value:
            raise Refused(403, f"a container with {where}{name}")
    return found


class EngineConnection(http.client.HTTPConnection):
    """A connection to the engine's socket."""

    def __init__(self, place):
        super().__init__("engine", timeout=60)
        self.place = place

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.place)


class Handler(socketserver.BaseRequestHandler):
    """One connection, one call."""

    engine = "/var/run/docker.sock"
    registry = ""
    """Where images may be pushed to; "" for nowhere."""

    def handle(self):
        try:
            self.request.settimeout(HEAD_SECONDS)
            head, rest = self.read_head()
            self.request.settimeout(None)
            if head:
                self.answer(read_call(head), rest)
        except Refused as refusal:
            print(f"refused: {refusal}", flush=True)
            self.say(refusal.status, {"message": f"engine proxy: {refusal}"})
        except (OSError, http.client.HTTPException) as error:
            print(f"broken off: {error!r}", flush=True)

    def read_head(self):
        """Read up to the end of the headers."""
        got = b""
        while b"\r\n\r\n" not in got:
            chunk = self.request.recv(65536)
            if not chunk or len(got) > LONGEST_HEAD:
                return b"", b""
            got += chunk
        head, _, rest = got.partition(b"\r\n\r\n")
        return head, rest

    def answer(self, call, rest):
        """Judge a call and pass it on, or refuse it."""
        check_parameters(call, self.registry)
        self.check_owner(call)
        if call.kind == "own containers":
            return self.say(*self.own_containers(call))
        if call.kind == "create":
            return self.forward_description(call, checked_description(self.whole_body(call, rest)))
        if call.kind == "commit":
            return self.forward_description(call, checked_commit(self.whole_body(call, rest)))
        if call.kind in ("build", "fill"):
            return self.forward(call, rest, self.framing(call), streams=True)
        if call.headers.get("content-length", "0") != "0" or "transfer-encoding" in call.headers:
            raise Refused(403, f"{call.method} {call.path} with a body")
        if call.kind == "attach":
            return self.attach(call, rest)
        return self.forward(call)

    def check_owner(self, call):
        """Refuse what belongs to others; say the container by its full id from here on."""
        if name := call.names.get("container"):
            facts = self.own_container(name)
            call.path = call.path.replace(f"/{name}", f"/{facts['Id']}", 1)
        if call.kind == "commit":
            facts = self.own_container(call.parameters["container"])
            call.parameters["container"] = facts["Id"]
            # While it runs, its own processes could change what the engine reads; once it ran, where it writes to.
            if facts["State"]["Status"] not in ("created", "exited"):
                raise Refused(403, "a commit of a container that runs")
        if call.kind == "fill" and facts["State"]["Status"] != "created":
            raise Refused(403, "copying into a container that was started")
        if call.kind in ("remove image", "build", "commit"):
            self.check_image(call.names.get("image") or made_name(call.parameters))
        if call.kind in ("tag", "push"):
            self.check_image(call.names["image"] if call.kind == "tag" else new_name(call))
            self.check_image(new_name(call))

    def check_image(self, name):
        """Refuse an image that is there and not tfbisect's."""
        status, facts = self.ask(f"/images/{quote(name, safe='/:@')}/json")
        if status not in (200, 404):
            # Not known is not the same as not there.
            raise Refused(503, f"the engine does not say whose image {name} is: {status} {facts.get('message')}")
        if status == 200 and PART not in (facts["Config"].get("Labels") or {}):
            raise Refused(403, f"image {name} is not tfbisect's")

    def own_container(self, name):
        """Return what the engine says of a container; refuse one of others."""
        status, facts = self.ask(f"/containers/{name}/json")
        if status != 200:
            raise Refused(status, f"container {name}: {facts.get('message')}")
        if not is_own(facts["Config"]):
            raise Refused(403, f"container {name} is not tfbisect's")
        return facts

    def ask(self, path):
        """Ask the engine; return its status and what it says."""
        connection = EngineConnection(self.engine)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def own_containers(self, call):
        """List tfbisect's containers only."""
        status, rows = self.ask(call.target)
        return status, [row for row in rows if is_own(row)] if status == 200 else rows

    def framing(self, call):
        """Return the header that says where a body ends."""
        length, encoding = call.headers.get("content-length"), call.headers.get("transfer-encoding")
        if encoding == "chunked" and length is None:
            return "Transfer-Encoding: chunked"
        if encoding is None and length is not None and re.fullmatch(r"\d{1,15}", length):
            return f"Content-Length: {length}"
        raise Refused(400, "a body without a clear end")

    def whole_body(self, call, body):
        """Read the whole body of a call."""
        framing, _, length = self.framing(call).partition(": ")
        if framing != "Content-Length" or int(length) > LONGEST_DESCRIPTION:
            raise Refused(403, "a description must come with a Content-Length, and a short one")
        while len(body) < int(length):
            chunk = self.request.recv(65536)
            if not chunk:
                raise Refused(400, "half a description")
            body += chunk
        return body[: int(length)]

    def forward_description(self, call, description):
        """Hand a call to the engine with a description that was judged."""
        return self.forward(call, description, f"Content-Length: {len(description)}")

    def head_of(self, call, *more):
        """Write the head that the engine gets."""
        lines = [f"{call.method} {call.target} HTTP/1.1", "Host: engine", *more]
        if call.kind in BODY_TYPES:
            lines.append(f"Content-Type: {BODY_TYPES[call.kind]}")
        if call.kind in ("pull", "push") and "x-registry-auth" in call.headers:
            lines.append(f"X-Registry-Auth: {call.headers['x-registry-auth']}")
        return "\r\n".join([*lines, "", ""]).encode()

    def forward(self, call, body=b"", framing="Content-Length: 0", streams=False):
        """Hand a call to the engine, which closes after it, and carry the answer back."""
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self.engine)
            engine.sendall(self.head_of(call, "Connection: close", framing) + body)
            if streams:
                threading.Thread(target=carry, args=(self.request, engine), daemon=True).start()
            carry(engine, self.request)

    def attach(self, call, rest):
        """Connect with a container; what comes after the head goes only to the container, never to the engine."""
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self.engine)
            # Without "close" a refusal would leave the engine listening for the next call on this connection.
            engine.sendall(self.head_of(call, "Connection: Upgrade, close", "Upgrade: tcp", "Content-Length: 0"))
            first = engine.recv(65536)
            self.request.sendall(first)
            if first.startswith(b"HTTP/1.1 101 "):
                engine.sendall(rest)
                threading.Thread(target=carry, args=(self.request, engine), daemon=True).start()
            carry(engine, self.request)

    def say(self, status, content):
        """Answer in JSON, and hang up."""
        body = json.dumps(content).encode()
        phrase = http.client.responses.get(status, "Refused")
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.request.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)


def carry(source, target):
    """Carry bytes until the source ends, and say so to the target."""
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Server(socketserver.ThreadingTCPServer):
    """Answers each connection on its own thread."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", default="0.0.0.0:2375")
    parser.add_argument("--socket", default="/var/run/docker.sock")
    parser.add_argument("--registry", default=os.environ.get("TFBISECT_IMAGE_REGISTRY", ""))
    given = parser.parse_args()
    Handler.engine, Handler.registry = given.socket, given.registry.strip("/")
    host, _, port = given.listen.rpartition(":")
    with Server((host, int(port)), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()

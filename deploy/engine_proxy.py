"""A filter in front of the engine's socket: the calls that tfbisect needs, and containers without rights.

Whoever can talk to the engine's socket is root on its host. This process is the only one that holds the socket; the
coordinator talks to it over an inner network. Standard library only.

    engine_proxy.py [--listen 0.0.0.0:2375] [--socket /var/run/docker.sock]
"""

import argparse
import json
import re
import socket
import socketserver
import threading

ALLOWED = [
    ("GET|HEAD", r"/_ping|/version|/info|/events|/system/df"),
    ("GET", r"/images/json|/images/[^?]+/json|/images/[^?]+/history"),
    ("GET", r"/containers/json|/containers/[\w.-]+/(json|logs|stats|top)"),
    ("GET|HEAD", r"/containers/[\w.-]+/archive"),
    ("POST", r"/build|/build/prune|/images/create|/images/load|/images/prune|/images/[^?]+/tag|/commit"),
    ("POST", r"/containers/create|/containers/prune"),
    ("POST", r"/containers/[\w.-]+/(attach|kill|start|stop|wait|resize|restart)"),
    ("DELETE", r"/containers/[\w.-]+|/images/[^?]+"),
]
# What gives a container more than its own sandbox.
REFUSED_IN_HOST = ("Privileged", "CapAdd", "Devices", "VolumesFrom", "PublishAllPorts", "PortBindings", "CgroupParent")
NAMESPACES = ("PidMode", "IpcMode", "UsernsMode", "UTSMode", "CgroupnsMode")
LONGEST_HEAD = 64 * 1024
LONGEST_CREATE = 1024 * 1024


def is_allowed(method, path):
    """Say whether a call may pass; the version in front of the path does not matter."""
    bare = re.sub(r"^/v[0-9.]+(?=/)", "", path.partition("?")[0])
    return ".." not in bare and any(
        re.fullmatch(methods, method) and re.fullmatch(pattern, bare) for methods, pattern in ALLOWED
    )


def complaint(body):
    """Say why a container may not be created, or None."""
    host = json.loads(body or b"{}").get("HostConfig") or {}
    for name in REFUSED_IN_HOST:
        if host.get(name):
            return f"HostConfig.{name}"
    for name in NAMESPACES:
        if host.get(name) not in (None, "", "private", "none", "shareable"):
            return f"HostConfig.{name}"
    if host.get("NetworkMode") != "none":
        return "HostConfig.NetworkMode, which must be none"
    mounts = [mount for mount in host.get("Mounts") or () if mount.get("Type") != "tmpfs"]
    if host.get("Binds") or mounts:
        return "HostConfig.Binds or Mounts"
    unsafe = [option for option in host.get("SecurityOpt") or () if "unconfined" in option]
    return f"HostConfig.SecurityOpt {unsafe}" if unsafe else None


class Handler(socketserver.BaseRequestHandler):
    """One connection, one call: so nothing can hide behind a call that was allowed."""

    engine = "/var/run/docker.sock"

    def handle(self):
        head, rest = self.read_head()
        if not head:
            return
        line, _, headers = head.partition(b"\r\n")
        try:
            method, path, _ = line.decode("latin-1").split(" ")
        except ValueError:
            return self.refuse(400, "no request")
        if not is_allowed(method, path):
            return self.refuse(403, f"{method} {path} is not among the calls that tfbisect needs")
        if method == "POST" and re.search(r"/containers/create(\?|$)", path):
            rest, problem = self.checked_create(headers, rest)
            if problem:
                return self.refuse(403, f"a container with {problem} is not started here")
        self.forward(self.one_call_head(line, headers) + rest)

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

    def checked_create(self, headers, body):
        """Read the whole description of a container and look at it."""
        match = re.search(rb"(?im)^content-length:\s*(\d+)\s*$", headers)
        if match is None or re.search(rb"(?im)^transfer-encoding:", headers):
            return body, "no Content-Length"
        length = int(match.group(1))
        if length > LONGEST_CREATE:
            return body, "too long a description"
        while len(body) < length:
            chunk = self.request.recv(65536)
            if not chunk:
                return body, "half a description"
            body += chunk
        try:
            return body[:length], complaint(body[:length])
        except (ValueError, AttributeError, TypeError):
            return body, "a description that cannot be read"

    def one_call_head(self, line, headers):
        """Return the head again, telling the engine to close after this call unless the connection is handed over."""
        kept = headers.split(b"\r\n")
        if not re.search(rb"(?im)^upgrade:", headers):
            kept = [header for header in kept if not header.lower().startswith(b"connection:")]
            kept.append(b"Connection: close")
        return line + b"\r\n" + b"\r\n".join(kept) + b"\r\n\r\n"

    def forward(self, start):
        """Hand the call to the engine and carry bytes both ways until it is over."""
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self.engine)
            engine.sendall(start)
            upward = threading.Thread(target=carry, args=(self.request, engine), daemon=True)
            upward.start()
            carry(engine, self.request)

    def refuse(self, status, message):
        body = json.dumps({"message": f"engine proxy: {message}"}).encode()
        head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.request.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
        print(f"refused: {message}", flush=True)


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", default="0.0.0.0:2375")
    parser.add_argument("--socket", default="/var/run/docker.sock")
    given = parser.parse_args()
    Handler.engine = given.socket
    host, _, port = given.listen.rpartition(":")
    with Server((host, int(port)), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()

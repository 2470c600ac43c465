"""Runs probes in containers."""

from __future__ import annotations

import math
import os
import re
import secrets
import signal
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import docker.errors

from service.catalog.targets import Target
from service.errors import EngineLost, ReleaseUntestable
from service.execution.channel import BOOT, Transcript
from service.execution.conversation import Exit, exit_of
from service.execution.docker_engine import calling, engine_description, orders_to_end
from service.execution.hardening import RUN_LABEL, Accelerators, container_config, counts_files, missing_protections
from service.execution.limits import Limits
from service.execution.owners import is_orphan, labels_of_run
from service.execution.removal import Removals
from service.execution.run_users import RunUsers, container_users
from service.execution.seccomp import profile_text, takes_profiles
from service.execution.sessions import EnvironmentSupply, Place, ResolvedEnvironment, SessionRunner, Start, Waits

COMMAND = ("python", "-u", "-c", BOOT)
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
RECEIVE_BYTES = 256 * 1024
MOST_READS = 8
"""Reads of the channel before clock, cancellation and limits are checked again."""
EXIT_WAIT_SECONDS = 3
NO_DEVICE = "could not select device driver"
"""What an engine answers if it has no such device."""
STDOUT = 1
HEADER_BYTES = 8
STOPPING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGKILL})
"""Signals that people and engines use to stop containers; a run can send them to itself too."""


class BuiltImage(Protocol):
    """An image that can be run."""

    @property
    def id(self) -> str:
        """Return "sha256:…"."""


class ImageSupply(Protocol):
    """Provides images."""

    def ensure(self, environment: Any) -> BuiltImage:
        """Return the image of an environment, built if needed."""

    def used(self, environment: Any) -> None:
        """Note that the image of an environment is used now."""


class Demultiplexer:
    """Splits the engine's stream into frames: 8 bytes of header (stream, length), then the content."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes, transcript: Transcript) -> None:
        """Pass on the content of every frame as far as it has come."""
        self._held += chunk
        taken = 0  # Trimmed once at the end: a trim per frame would copy the rest of the chunk each time.
        while len(self._held) - taken >= HEADER_BYTES:
            stream, length = struct.unpack_from(">BxxxL", self._held, taken)
            words = bytes(self._held[taken + HEADER_BYTES : taken + HEADER_BYTES + length])
            taken += HEADER_BYTES + len(words)
            transcript.count(HEADER_BYTES)  # so that a flood of tiny frames is noticed too
            if stream == STDOUT:
                transcript.add_protocol(words)
            else:
                transcript.add_output(words)
            if missing := length - len(words):
                # The rest of this frame comes later: keep a header for it.
                self._held = bytearray(struct.pack(">BxxxL", stream, missing))
                return
        del self._held[:taken]


class ContainerSession:
    """A container with its channel; see conversation.Session."""

    def __init__(self, api: Any, container: str, channel: Any, remove: Callable[[], None]) -> None:
        self._api = api
        self.container = container
        self._remove = remove
        self._channel = channel
        self._socket: socket.socket = getattr(channel, "_sock", channel)
        self._socket.setblocking(False)
        # A second descriptor: input and output are closed separately.
        self._writable = os.dup(self._socket.fileno())
        self._frames = Demultiplexer()
        self._discarded = False

    def inputs(self) -> Sequence[int]:
        """Return the file descriptors that its words come from."""
        return [self._socket.fileno()]

    def receive(self, descriptor: int, transcript: Transcript) -> bool:  # noqa: ARG002 - both streams share one socket
        """Take what has come; False when no more can come."""
        try:
            # Until it has no more, or so much that it is time to look at the clock. An encrypted channel hands over
            # one record at a time, and whole, so that what is left is where the system sees it.
            for _ in range(MOST_READS):
                chunk = self._socket.recv(RECEIVE_BYTES)
                if not chunk:
                    return False
                self._frames.feed(chunk, transcript)
        except WOULD_BLOCK:
            return True
        except OSError as error:
            raise EngineLost(f"the engine closed the connection during a run: {error}") from error
        return True

    def output(self) -> int:
        """Return the file descriptor that leads to its standard input."""
        return self._writable

    def send(self, words: memoryview) -> int:
        """Send without blocking; return how many bytes were taken."""
        try:
            return self._socket.send(words)
        except WOULD_BLOCK as error:
            raise BlockingIOError from error

    def takes_too_much(self) -> bool:
        """Return False: the kernel keeps a container's limits."""
        return False

    def exit(self) -> Exit | None:
        """Wait a moment until it has ended and say how; None when it goes on."""
        with calling("say how a container ended"):
            deadline = time.monotonic() + EXIT_WAIT_SECONDS
            while True:
                state = self._api.inspect_container(self.container)["State"]
                if not state["Running"]:
                    ended = exit_of(state["ExitCode"], out_of_memory=bool(state.get("OOMKilled")))
                    # An end that cannot be confirmed is not a behaviour of the release.
                    doubtful = ended.signal in STOPPING and self._was_stopped(state) is not False
                    return replace(ended, from_outside=doubtful)
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.05)  # its channels are closed, so it ends within milliseconds

    def _was_stopped(self, state: Mapping[str, Any]) -> bool | None:
        """Return whether the engine was told to end the container; None if it does not say."""
        # The record may come a moment after the end; the engine's own clock counts.
        until = math.ceil(datetime.fromisoformat(str(state["FinishedAt"])).timestamp()) + 1
        return orders_to_end(self._api, self.container, until)

    def discard(self) -> None:
        """Kill and remove the container, once."""
        if self._discarded:
            return
        self._discarded = True
        os.close(self._writable)
        self._close_channel()
        self._remove()

    def _close_channel(self) -> None:
        # The HTTP response of the channel buffers the same socket: closed later, it raises.
        response = getattr(self._channel, "_response", None)
        if response is not None:
            response.close()
        self._channel.close()
        self._socket.close()


class DockerRunner(SessionRunner):
    """Runs each probe in a container of its own."""

    name = "docker"

    def __init__(
        self,
        client: Any,
        environments: EnvironmentSupply,
        images: ImageSupply,
        limits: Limits,
        *,
        harness_source: str = "",
        waits: Waits | None = None,
        runtime: str = "",
        narrow: bool = True,
        accelerators: Accelerators | None = None,
    ) -> None:
        """Make a runner and remove what dead runners have left.

        Args:
            client: the engine; see engine.connect.
            environments: resolves releases.
            images: makes their images.
            limits: bounds of each run.
            harness_source: what warm containers are started with; without it nothing is warmed.
            waits: which containers may wait, ready to be asked.
            runtime: the engine's runtime by name; "" takes its default.
            narrow: runs get our profile of system calls where the engine takes one.
            accelerators: what a run on an accelerator is given; None takes what Accelerators says.

        Raises:
            EngineLost: the engine went away.
        """
        super().__init__(environments, limits, harness_source=harness_source, waits=waits)
        self._api = client.api
        self._images = images
        self._runtime = runtime
        self._accelerators = accelerators or Accelerators()
        engine = engine_description(client)
        self._missing = missing_protections(engine)
        self._counts_files = counts_files(engine)
        self._users = RunUsers(container_users(engine))
        self._seccomp = profile_text() if narrow and takes_profiles(engine) else ""
        self._at_work: set[str] = set()
        # In the background: removing takes the engine long.
        self._removals = Removals(self._remove, self._orphans)
        self.remove_orphans()

    def missing_protections(self, place: Place | None = None) -> tuple[str, ...]:  # noqa: ARG002 - the same everywhere
        """Protections that this engine cannot give."""
        return self._missing

    def remove_orphans(self) -> list[str]:
        """Remove the containers of dead runners in the background; return their ids."""
        orphans = self._orphans()
        for container in orphans:
            self._removals.add(container)
        return orphans

    def close(self) -> None:
        """Remove all containers that this runner started, and wait for it."""
        super().close()
        self._removals.close()

    def _orphans(self) -> list[str]:
        """Return the containers without a living owner, including those whose creation was never confirmed."""
        with calling("list containers"):
            found = self._api.containers(all=True, filters={"label": RUN_LABEL})
        now = time.time()
        orphans = [row["Id"] for row in found if is_orphan(row.get("Labels") or {}, now)]
        return [container for container in orphans if container not in self._at_work]

    def _make_place(self, target: Target, environment: ResolvedEnvironment | None) -> Place:
        environment = environment or self._environments.resolve(target)
        return Place(self._images.ensure(environment).id, environment, target.hardware, dict(target.variables))

    def _start(self, place: Place, name: str, start: Start) -> ContainerSession:
        self._images.used(place.environment)
        with calling("start a container"):
            user = self._users.take()
            session = self._attach(self._create(place, name, start, user), user)
            try:
                self._api.start(session.container)
            except docker.errors.APIError as error:
                session.discard()
                if place.hardware == "cuda" and NO_DEVICE in str(error.explanation):
                    raise ReleaseUntestable(f"no CUDA device: {error.explanation}") from error
                raise
            except BaseException:
                session.discard()
                raise
        return session

    def _attach(self, container: str, user: int) -> ContainerSession:
        """Open the channel of a container before its start, so that no output is missed."""

        def end() -> None:
            self._at_work.discard(container)
            self._users.give_back(user)
            self._removals.add(container)

        self._at_work.add(container)
        try:
            channel = self._api.attach_socket(container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        except BaseException:
            end()
            raise
        return ContainerSession(self._api, container, channel, end)

    def _create(self, place: Place, name: str, start: Start, user: int) -> str:
        config = container_config(
            place.image,
            COMMAND,
            self._limits,
            user=user,
            labels={RUN_LABEL: name, **labels_of_run(start.lifetime_seconds)},
            runtime=self._runtime,
            seccomp=self._seccomp,
            accelerators=self._accelerators if place.hardware == "cuda" else None,
            hash_seed=start.hash_seed,
            variables=place.variables,
            init=not start.forks,
            counts_files=self._counts_files,
        )
        own_name = container_name(name)
        try:
            return str(self._api.create_container_from_config(config, own_name)["Id"])
        except BaseException:
            # The engine may have created it without being able to say so.
            self._removals.add(own_name)
            self._users.give_back(user)
            raise

    def _remove(self, container: str) -> None:
        """Kill and remove; one that is gone is removed.

        Raises:
            EngineLost: it may still be there.
        """
        with calling("remove a container"), suppress(docker.errors.NotFound):
            self._api.remove_container(container, force=True, v=True)


def container_name(run: str) -> str:
    """Return a unique name for the container of a run, also if the run is repeated."""
    return f"tfbisect-run-{re.sub(r'[^a-zA-Z0-9_.-]', '-', run)[:60]}-{secrets.token_hex(4)}"

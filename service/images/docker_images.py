"""Images in a Docker engine, by its Python client."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import docker
import requests

from service.errors import DiskFull, EngineLost
from service.execution.docker_engine import CLIENT_ERRORS, NO_SPACE, calling, refusal
from service.execution.engine_words import keeps_content
from service.execution.hardening import OWNER_LABEL
from service.execution.owners import is_orphan, owner_of
from service.images.archives import CHUNK_BYTES, unpack_into
from service.images.engine import (
    PART,
    SCRATCH,
    BuildFailed,
    BuildOrder,
    Description,
    LayerOrder,
    PullFailed,
    StoredImage,
)
from service.images.layers import Blob, ContentArchive, LayerArchive, config_of, layers_in

BUILD_TIMEOUT_SECONDS = 1800  # between two messages of the engine; a layer of 5 GB takes minutes
PULL_TIMEOUT_SECONDS = 1800
KEPT_LINES = 40
FINISHED = "/finished"
"""Folder of a container for what finishing adds."""
ROOT = "0"
"""Finishes an image: that of a release, which additions are laid over, has a user without rights."""
LARGEST_IN_MEMORY_BYTES = 64 << 20
BAD_REQUEST, CONFLICT, ENGINE_BROKE = 400, 409, 500
BUILD = "build an image"
Way = Literal["driver", "content", "none"]
"""How an engine takes a layer without those below it: by its graph driver, by content, or not at all."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class DockerImages:
    """Implements ImageEngine. Uses the classic builder, which every engine has."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._api = client.api
        self._way: Way | None = None
        """How the engine takes a layer without those below it; None: not tested yet."""
        self._layers: dict[str, list[Blob]] = {}
        """Id of an image -> how its manifest names its layers, for an engine that takes them by content."""
        self._unremoved: set[str] = set()
        """Finished containers that could not be removed, because the engine was lost."""

    def find(self, reference: str) -> StoredImage | None:
        with _asking("look at an image"):
            try:
                return _stored(self._api.inspect_image(reference))
            except docker.errors.NotFound:
                return None

    def labelled(self, label: str) -> list[StoredImage]:
        """Return the images that have a label and a reference."""
        with _asking("list images"):
            rows = self._api.images(filters={"label": label})
            return self._inspected(row for row in rows if _named(row))

    def remnants(self, label: str) -> list[StoredImage]:
        """Return untagged leaves with a label."""
        with _asking("list images"):
            rows = self._api.images(filters={"label": label, "dangling": True})
            return self._inspected(rows)

    def pull(self, reference: str) -> StoredImage:
        """Pull an image from its registry, by tag or by digest."""
        repository, by_digest, tag = reference.partition("@")
        if not by_digest:
            repository, _, tag = reference.rpartition(":")
        with _exchanging("pull an image"):
            for line in self._api.pull(repository, tag=tag, stream=True, decode=True):
                if NO_SPACE in str(line.get("error", "")).lower():
                    raise refusal("pull an image", str(line["error"]))
                if "error" in line:
                    raise PullFailed(str(line["error"]))
        return self._surely(reference)

    def push(self, reference: str) -> None:
        """Send an image to the registry that its name says."""
        repository, _, tag = reference.rpartition(":")
        with _exchanging("push an image"):
            # Without a login too: an engine refuses a push that says nothing of one.
            login = self._api._auth_configs.resolve_authconfig(repository.partition("/")[0]) or {}
            for line in self._api.push(repository, tag=tag, stream=True, decode=True, auth_config=login):
                if "error" in line:
                    raise PullFailed(str(line["error"]))

    def tag(self, image: str, reference: str) -> None:
        """Give an image another name."""
        repository, _, tag = reference.rpartition(":")
        with _asking("name an image"):
            self._api.tag(image, repository, tag=tag)

    def digest(self, reference: str) -> str:
        """Return the digest that a tag stands for: of the image that is here, else of its registry's."""
        found = self.find(reference)
        if found is not None:
            return found.digest or found.id
        with _exchanging("pull an image"):
            return str(self._api.inspect_distribution(reference)["Descriptor"]["digest"])

    def import_system(self, archive: Path, reference: str) -> StoredImage:
        """Make an image of a root file system."""
        repository, _, tag = reference.rpartition(":")
        with _asking("take in an archive"):
            self._api.import_image_from_file(str(archive), repository=repository, tag=tag)
        return self._surely(reference)

    def build(self, order: BuildOrder) -> StoredImage:
        """Build an image without a network; on failure nothing of it remains."""
        steps = _Steps()
        try:
            with _asking(BUILD):
                self._remove_the_dead()
                lines = self._api.build(
                    fileobj=order.context, custom_context=True, tag=order.reference, buildargs=dict(order.arguments),
                    labels=dict(order.labels), network_mode="none", rm=True, forcerm=True, decode=True,
                    timeout=BUILD_TIMEOUT_SECONDS,
                )  # fmt: skip
                for line in lines:
                    steps.take(line)
        except (BuildFailed, DiskFull, EngineLost):
            self._remove_layers(steps.last_layer)
            raise
        return self._surely(order.reference)

    def lay(self, order: LayerOrder) -> StoredImage:
        """Lay files over an image and finish it, without a network.

        Where the engine takes a layer without those below it and sees our files, it gets the layer while a container
        finishes the image with the files themselves. Else a container is filled, finished and committed.
        """
        with _asking(BUILD):
            if self._takes_a_layer(order.base) != "none":
                # The mount may be at fault, as under SELinux: only a container that holds the files says what fails.
                with suppress(BuildFailed):
                    if laid := self._laid_beside(order):
                        return laid
            return self._committed(order)

    def _takes_a_layer(self, base: str) -> Way:
        """Return how the engine loads a layer without those below it; tested once, by an image without a new layer."""
        if self._way is None:
            way: Way = "content" if keeps_content(self._api.info()) else "driver"
            try:
                taken = self._takes(self._archive(way, base, Description("", {PART: SCRATCH})))
            except docker.errors.APIError as error:
                taken = None if error.is_server_error() else False  # the filter exports nothing
            if taken is None:
                return "none"  # no answer to the question; tested again next time
            self._way = way if taken else "none"
        return self._way

    def _takes(self, trial: LayerArchive | ContentArchive) -> bool | None:
        """Return whether the engine loads an archive; None: it did not say."""
        body = b"".join(trial.chunks())
        try:
            answer = self._api.post(self._place("/images/load"), params={"quiet": "1"}, data=body)
        except requests.ConnectionError:
            return None  # the filter refused; if the engine is lost, the next call reports it
        if answer.status_code >= ENGINE_BROKE and isinstance(trial, LayerArchive):
            return None
        taken = answer.ok and self.find(trial.image_id) is not None
        if taken:
            self.remove(trial.image_id)
        return taken

    def _archive(
        self, way: Way, base: str, description: Description, layer: Iterator[bytes] | None = None, size_bytes: int = 0
    ) -> LayerArchive | ContentArchive:
        """Return what the engine loads to have a layer over an image."""
        below = self._api.inspect_image(base)
        below["Config"]["Labels"] = _without_owner((below["Config"] or {}).get("Labels") or {})
        if way == "driver":
            return LayerArchive(below, description, layer, size_bytes)
        return ContentArchive(below, self._layers_of(below), description, layer, size_bytes)

    def _layers_of(self, image: Mapping[str, Any]) -> list[Blob]:
        """Return how an image's manifest names its layers: known of what was laid here, else read from an export."""
        found = self._layers.get(image["Id"])
        if found is None:
            found = layers_in(self._api.get_image(image["Id"]), image["Architecture"])
            if found is None or len(found) != len(image["RootFS"]["Layers"]):
                raise EngineLost("the engine exports an image without a manifest that names its layers")
            self._layers[image["Id"]] = found
        return found

    def _laid_beside(self, order: LayerOrder) -> StoredImage | None:
        """Load the layer while a container finishes the image; None if the engine sees other files."""
        mount = docker.types.Mount(order.place, str(order.folder), type="bind", read_only=True)
        try:
            container = self._created(order.base, [*order.finish, FINISHED], [mount], user=ROOT)
        except docker.errors.APIError as error:
            if error.status_code == BAD_REQUEST:
                return None
            raise
        with self._removing(container):
            self._api.start(container)
            scratch = Description("", _scratch_labels())
            laid = self._loaded(
                self._archive(self._way or "driver", order.base, scratch, order.archive(), order.archive_bytes)
            )
            try:
                self._ended(container)
                return self._finished(container, laid, order)
            finally:
                self.remove(laid.id)

    def _finished(self, container: str, laid: StoredImage, order: LayerOrder) -> StoredImage:
        """Add a container's changes to an image, and name the result."""
        with tempfile.SpooledTemporaryFile(LARGEST_IN_MEMORY_BYTES, dir=str(order.folder.parent)) as added:
            for chunk in self._added(container):
                added.write(chunk)
            size_bytes = added.tell()
            added.seek(0)
            layer = iter(lambda: added.read(CHUNK_BYTES), b"") if size_bytes else None
            return self._loaded(self._archive(self._way or "driver", laid.id, order.result, layer, size_bytes))

    def _added(self, container: str) -> Iterable[bytes]:
        """Return the files that finishing added, as an archive; empty if there are none."""
        try:
            chunks: Iterable[bytes] = self._api.get_archive(container, f"{FINISHED}/.")[0]
        except docker.errors.NotFound:
            self._api.inspect_container(container)  # raises if the container is gone
            return ()
        return chunks

    def _loaded(self, archive: LayerArchive | ContentArchive) -> StoredImage:
        answer = self._patiently("POST", "/images/load", params={"quiet": "1"}, data=archive.chunks())
        found = self.find(archive.image_id)
        if found is None:
            raise refusal(BUILD, _said(answer) or "it accepted a layer but does not have it")
        if isinstance(archive, ContentArchive):
            self._check_unpacked(found)
            self._layers[found.id] = archive.layers
        return found

    def _check_unpacked(self, image: StoredImage) -> None:
        """Have the engine unpack an image: while it loads one, it only logs that a layer is broken or has no room."""
        try:
            with self._removing(self._created(image.id, ("true",))):
                pass
        except BaseException:
            self.remove(image.id)
            raise

    def _committed(self, order: LayerOrder) -> StoredImage:
        """Fill a container, finish the image in it, and commit it."""
        repository, _, tag = order.result.reference.rpartition(":")
        with self._container(order.base, [*order.finish, ""], user=ROOT) as container:
            self._patiently("PUT", f"/containers/{container}/archive", params={"path": "/"}, data=order.archive())
            self._api.start(container)
            self._ended(container)
            named = {"container": container, "repo": repository, "tag": tag}
            self._patiently("POST", "/commit", params=named, json=config_of(order.result, {}))
        return self._surely(order.result.reference)

    def _patiently(self, method: str, path: str, **content: Any) -> requests.Response:
        """Make a call with a long timeout, which the client's own methods do not offer."""
        answer: requests.Response = self._api.request(
            method, self._place(path), timeout=BUILD_TIMEOUT_SECONDS, **content
        )
        if not answer.ok:
            raise refusal(BUILD, _said(answer))
        return answer

    def _place(self, path: str) -> str:
        return f"{self._api.base_url}/v{self._api.api_version}{path}"

    def run(self, reference: str, command: list[str]) -> str:
        """Run a command in a temporary container without network and return its output."""
        with self._container(reference, command) as container:
            self._api.start(container)
            return self._ended(container)

    def _ended(self, container: str) -> str:
        """Wait for the end of a container's command and return its output."""
        status = self._api.wait(container, timeout=BUILD_TIMEOUT_SECONDS)["StatusCode"]
        output = str(self._api.logs(container).decode(errors="replace"))
        if status != 0:
            raise BuildFailed(f"the command returned a non-zero code: {status}", output)
        return output

    def copy_out(self, reference: str, path: str, folder: Path) -> None:
        """Copy a file or a folder of an image into a folder."""
        with self._container(reference) as container:
            chunks, _ = self._api.get_archive(container, path)
            unpack_into(folder, chunks)

    @contextmanager
    def _container(self, reference: str, command: Sequence[str] = ("true",), *, user: str = "") -> Iterator[str]:
        """Provide a temporary container without network and privileges, not started."""
        with _asking("run a container"), self._removing(self._created(reference, command, user=user)) as container:
            yield container

    def _created(
        self, reference: str, command: Sequence[str], mounts: Sequence[docker.types.Mount] = (), *, user: str = ""
    ) -> str:
        """Create a container without network and privileges, and return its id; it runs as the user of its image."""
        self._remove_what_stayed()
        host = self._api.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            tmpfs={"/tmp": "mode=1777"},  # noqa: S108 - in the container
            mounts=list(mounts),
        )
        made = self._api.create_container(
            reference, list(command), user=user or None, network_disabled=True, labels=_scratch_labels(),
            host_config=host,
        )  # fmt: skip
        return str(made["Id"])

    @contextmanager
    def _removing(self, container: str) -> Iterator[str]:
        try:
            yield container
        except docker.errors.NotFound as error:
            raise EngineLost(f"{error.explanation}; was it pruned during the build? Try again.") from error
        finally:
            self._unremoved.add(container)
            self._remove(container)

    def _remove(self, container: str) -> None:
        with suppress(docker.errors.NotFound):
            self._api.remove_container(container, force=True)
        self._unremoved.discard(container)

    def _remove_what_stayed(self) -> None:
        for container in tuple(self._unremoved):
            with suppress(*CLIENT_ERRORS):  # another thread may remove it too; the next call tries again
                self._remove(container)

    def remove(self, reference: str) -> bool:
        """Remove an image; False where a container or another image still needs it."""
        with _asking("remove an image"):
            try:
                self._api.remove_image(reference)
            except docker.errors.NotFound:
                return True
            except docker.errors.APIError as error:
                if error.status_code != CONFLICT:
                    raise
                return False
        return True

    def remove_scratch(self, before: datetime) -> None:
        """Remove containers of old operations or dead processes, and containers in the state "dead"."""
        with _asking("remove containers"):
            self._remove_the_dead()
            for row in self._api.containers(all=True, filters={"label": f"{PART}={SCRATCH}"}):
                if row["Created"] < before.timestamp() or is_orphan(row.get("Labels") or {}, time.time()):
                    with suppress(docker.errors.NotFound):
                        self._api.remove_container(row["Id"], force=True)

    def _remove_the_dead(self) -> None:
        """Remove containers that the engine itself began to remove and then ended: it does not go on when it is back.

        Those of its own builder are among them, which have no owner that would look for them.
        """
        dead: Sequence[Mapping[str, Any]] = ()
        with suppress(docker.errors.APIError):  # Podman knows no such state
            dead = self._api.containers(all=True, filters={"label": PART, "status": "dead"})
        for row in dead:
            with suppress(*CLIENT_ERRORS):  # a failed removal must not prevent a build
                self._api.remove_container(row["Id"], force=True)

    def images_in_use(self) -> frozenset[str]:
        """Return the ids of the images that containers are made of, running or not."""
        with _asking("list containers"):
            return frozenset(row["ImageID"] for row in self._api.containers(all=True))

    def storage_folder(self) -> Path | None:
        """Return where the engine keeps its images on this machine; None where it runs elsewhere."""
        with _asking("describe itself"):
            folder = Path(self._api.info().get("DockerRootDir", "/nowhere"))
        return folder if self._api.base_url.startswith("http+docker://") and folder.exists() else None

    def _inspected(self, rows: Iterable[Mapping[str, Any]]) -> list[StoredImage]:
        """Return listed images, except those that were removed meanwhile."""
        found = []
        for row in rows:
            with suppress(docker.errors.NotFound):
                found.append(_stored(self._api.inspect_image(row["Id"])))
        return found

    def _surely(self, reference: str) -> StoredImage:
        """Return an image that was just made."""
        found = self.find(reference)
        if found is None:
            raise EngineLost(f"the Docker engine built {reference} but does not have it; was it pruned? Try again.")
        return found

    def _remove_layers(self, layer: str) -> None:
        """Remove the last layer of a failed build, and with it unused layers below."""
        if layer:
            with suppress(*CLIENT_ERRORS):
                self._api.remove_image(layer)


class _Steps:
    """Reads the builder's output: keeps the last lines and layer, raises on an error."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.last_layer = ""

    def take(self, line: Mapping[str, Any]) -> None:
        if "error" in line:
            raise self._failure(str(line["error"]))
        text = COLOUR.sub("", str(line.get("stream", ""))).rstrip()
        if text.startswith(" ---> ") and " " not in text[6:]:
            self.last_layer = text[6:]
        elif text:
            self._lines.append(text)

    def _failure(self, message: str) -> Exception:
        return BuildFailed(message, "\n".join(self._lines)) if "non-zero code" in message else refusal(BUILD, message)


def _said(answer: requests.Response) -> str:
    """Return the message in an engine's answer."""
    try:
        content = answer.json()
    except requests.JSONDecodeError:
        return answer.text.strip()
    return str(content.get("message") or content.get("error") or content)


def _asking(what: str) -> AbstractContextManager[None]:
    """Make a call; None if the engine answers that something does not exist."""
    return calling(what, answers=(docker.errors.NotFound,), errors=CLIENT_ERRORS)


@contextmanager
def _exchanging(what: str) -> Iterator[None]:
    """Tell a registry's refusal from a lost engine."""
    try:
        with calling(what, answers=(docker.errors.APIError,), errors=CLIENT_ERRORS):
            yield
    except docker.errors.APIError as error:
        raise PullFailed(str(error.explanation or error)) from error


def _without_owner(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels but the one that says whose a temporary image is: a finished one has no owner."""
    return {name: value for name, value in labels.items() if name != OWNER_LABEL}


def _scratch_labels() -> dict[str, str]:
    """Return the labels of temporary containers and images, with their owner."""
    return {PART: SCRATCH, OWNER_LABEL: owner_of(os.getpid())}


def _named(row: Mapping[str, Any]) -> bool:
    """Return whether an image has a reference."""
    return any(tag != "<none>:<none>" for tag in row.get("RepoTags") or [])


def _stored(facts: Mapping[str, Any]) -> StoredImage:
    """Parse the engine's description of an image."""
    return StoredImage(
        id=facts["Id"],
        references=tuple(facts.get("RepoTags") or ()),
        labels=(facts.get("Config") or {}).get("Labels") or {},
        bytes=int(facts.get("Size", 0)),
        created=_moment(facts.get("Created", "")),
        digest=next((name.partition("@")[2] for name in facts.get("RepoDigests") or ()), ""),
    )


def _moment(text: str) -> datetime | None:
    """Parse the engine's time, nanoseconds to microseconds."""
    try:
        return datetime.fromisoformat(text[:19] + "+00:00")
    except ValueError:
        return None

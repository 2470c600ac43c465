"""Archives for `docker load` that add one layer to an image that the engine has.

Engines with a graph driver read from an archive only the layers that they lack, and engines with the containerd store
need no others either, if the archive names those that are there by their content. So the new layer is written twice: on
arrival and in its final place. `docker build` writes it three times: as the context, in the builder's container, and in
its final place.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from service.images.archives import END, entry
from service.images.engine import Description

OCI = "application/vnd.oci.image"
LARGEST_JSON_BYTES = 4 << 20
"""Blobs of an exported image above that are layers."""

Blob = Mapping[str, Any]
"""How a manifest names content: mediaType, digest, size."""


class LayerArchive:
    """An image to load into an engine with a graph driver.

    Its description follows the layer, since the layer's digest is known only then.
    """

    def __init__(
        self,
        below: Mapping[str, Any],
        description: Description,
        layer: Iterator[bytes] | None = None,
        size_bytes: int = 0,
    ) -> None:
        """Make an archive.

        Args:
            below: the engine's description of the existing image.
            description: of the new image.
            layer: an uncompressed tar archive; None makes another image of the same layers.
            size_bytes: of the layer.
        """
        self._below = below
        self._description = description
        self._layer = layer
        self._size_bytes = size_bytes
        self.image_id = ""
        """Id of the image; set after the last chunk."""

    def chunks(self) -> Iterator[bytes]:
        digests = list(self._below["RootFS"]["Layers"])
        names = [f"{number}-is-there" for number in range(len(digests))]
        if self._layer is not None:
            digest = hashlib.sha256()
            yield from entry("layer.tar", self._size_bytes, _seen(self._layer, digest))
            digests.append(f"sha256:{digest.hexdigest()}")
            names.append("layer.tar")
        config = json.dumps(self._config(digests)).encode()
        self.image_id = f"sha256:{hashlib.sha256(config).hexdigest()}"
        references = [self._description.reference] if self._description.reference else None
        manifest = json.dumps([{"Config": "config.json", "RepoTags": references, "Layers": names}]).encode()
        yield from entry("config.json", len(config), iter((config,)))
        yield from entry("manifest.json", len(manifest), iter((manifest,)))
        yield END

    def _config(self, digests: list[str]) -> dict[str, Any]:
        return image_config(self._description, self._below, digests)


class ContentArchive:
    """An image to load into an engine with the containerd store. Layers that are there are named and not sent.

    Its id is the digest of its manifest. Files are taken by their content, so that the layer, whose digest is known at
    its end, can come first.
    """

    def __init__(
        self,
        below: Mapping[str, Any],
        layers_below: Sequence[Blob],
        description: Description,
        layer: Iterator[bytes] | None = None,
        size_bytes: int = 0,
    ) -> None:
        """Make an archive.

        Args:
            below: the engine's description of the existing image.
            layers_below: how its manifest names its layers; see `layers_in`.
            description: of the new image.
            layer: an uncompressed tar archive; None makes another image of the same layers.
            size_bytes: of the layer.
        """
        self._below = below
        self._description = description
        self._layer = layer
        self._size_bytes = size_bytes
        self.layers = list(layers_below)
        """How the manifest names the layers; complete after the last chunk."""
        self.image_id = ""
        """Id of the image; set after the last chunk."""

    def chunks(self) -> Iterator[bytes]:
        digests = list(self._below["RootFS"]["Layers"])
        if self._layer is not None:
            digest = hashlib.sha256()
            yield from entry("blobs/layer", self._size_bytes, _seen(self._layer, digest))
            digests.append(f"sha256:{digest.hexdigest()}")
            self.layers.append(_blob(f"{OCI}.layer.v1.tar", digests[-1], self._size_bytes))
        config = json.dumps(image_config(self._description, self._below, digests)).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": _blob(f"{OCI}.config.v1+json", _digest_of(config), len(config)),
            "layers": self.layers,
        }
        said = json.dumps(manifest).encode()
        self.image_id = _digest_of(said)
        index = {"schemaVersion": 2, "manifests": [self._named(manifest["mediaType"], said)]}
        files = {"blobs/config": config, "blobs/manifest": said, "index.json": json.dumps(index).encode()}
        files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
        for name, content in files.items():
            yield from entry(name, len(content), iter((content,)))
        yield END

    def _named(self, kind: object, manifest: bytes) -> dict[str, Any]:
        """Return how the index names the image."""
        found = _blob(str(kind), self.image_id, len(manifest))
        found["platform"] = {"architecture": self._below["Architecture"], "os": self._below["Os"]}
        if name := self._description.reference:
            tag = name.rpartition(":")[2]
            found["annotations"] = {
                "io.containerd.image.name": f"docker.io/{name}",
                "org.opencontainers.image.ref.name": tag,
            }
        return found


def layers_in(exported: Iterable[bytes], architecture: str) -> list[Blob] | None:
    """Return how the manifest of an exported image names its layers; None where it has none for this machine.

    Args:
        exported: the archive that an engine exports, in chunks.
        architecture: as the engine names it, such as amd64.
    """
    found: dict[str, Any] = {}
    with tarfile.open(fileobj=_Stream(exported), mode="r|") as archive:
        for member in archive:
            if member.isfile() and member.size <= LARGEST_JSON_BYTES and (content := archive.extractfile(member)):
                try:
                    found[member.name] = json.loads(content.read())
                except ValueError:
                    continue  # a small layer
    return _layers_of(found.get("index.json"), found, architecture)


def _layers_of(index: Any, found: Mapping[str, Any], architecture: str) -> list[Blob] | None:
    """Follow an index to the manifest for a machine."""
    if not isinstance(index, dict):
        return None
    if "layers" in index:
        return list(index["layers"])
    for each in index.get("manifests", ()):
        wanted = (each.get("platform") or {}).get("architecture", architecture)
        inner = found.get("blobs/" + str(each.get("digest", "")).replace(":", "/"))
        if wanted == architecture and (layers := _layers_of(inner, found, architecture)) is not None:
            return layers
    return None


class _Stream(io.RawIOBase):
    """A file to read of chunks that come."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._held], len(self._held)
        while length < size or size < 0:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            length += len(chunk)
        whole = b"".join(parts)
        size = len(whole) if size < 0 else size
        self._held = whole[size:]
        return whole[:size]


def _blob(kind: str, digest: str, size_bytes: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": size_bytes}


def _digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image_config(description: Description, below: Mapping[str, Any], digests: Sequence[str]) -> dict[str, Any]:
    """Describe an image of layers with these digests, over an image that the engine describes."""
    return {
        "architecture": below["Architecture"],
        "os": below["Os"],
        "created": datetime.now(UTC).isoformat(),
        "config": config_of(description, below["Config"]),
        "rootfs": {"type": "layers", "diff_ids": list(digests)},
        "history": [],
    }


def config_of(description: Description, below: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of an image, in the engine's format.

    Args:
        description: of the image.
        below: configuration of the image below; empty for what is different.
    """
    variables = [f"{name}={value}" for name, value in description.variables.items()]
    return {
        **below,
        "Labels": {**(below.get("Labels") or {}), **description.labels},
        "Env": [*(below.get("Env") or ()), *variables],
        "User": description.user or below.get("User", ""),
        "Cmd": list(description.command),
    }


def _seen(chunks: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    """Yield the chunks, and update a digest with them."""
    for chunk in chunks:
        digest.update(chunk)
        yield chunk

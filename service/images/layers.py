"""Archives for `docker load` that add one layer to an image that the engine has.

Engines that store layers by content (the graph drivers) read from an archive only the layers that they lack. So the new
layer is written twice: on arrival and in its final place. `docker build` writes it three times: as the context, in the
builder's container, and in its final place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from service.images.archives import END, entry
from service.images.engine import Description


class LayerArchive:
    """An image to load. Its description follows the layer, since the layer's digest is known only then."""

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
        """Describe the image."""
        return {
            "architecture": self._below["Architecture"],
            "os": self._below["Os"],
            "created": datetime.now(UTC).isoformat(),
            "config": config_of(self._description, self._below["Config"]),
            "rootfs": {"type": "layers", "diff_ids": digests},
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

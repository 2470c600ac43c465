from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from service.images.docker_images import DockerImages
from tests.images.worlds import Workshop


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerImages]:
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine answers: {error}")
    yield DockerImages(client)
    client.close()


@pytest.fixture
def workshop(tmp_path: Path, engine: DockerImages) -> Iterator[Workshop]:
    yield Workshop(tmp_path, engine)
    for image in engine.labelled("org.tfbisect.package=six"):
        for reference in image.references:
            engine.remove(reference)

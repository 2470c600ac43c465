from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.probes.environments import cache_folder, environment


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function (package, release, python) -> interpreter of a real environment with that release."""
    folder = cache_folder(tmp_path_factory.getbasetemp().parent / "environments")

    def made(package: str, version: str, python: str = "3.6", *extra: str) -> str:
        return environment(folder, package, version, python, *extra)

    return made

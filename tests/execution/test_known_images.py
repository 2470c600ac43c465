"""What an estimate knows of images."""

from __future__ import annotations

from service.errors import NoRunner
from service.images.engine import StoredImage
from service.images.known import REMEMBERED_SECONDS, KnownImages


def image(package: str, release: str, hardware: str = "cpu") -> StoredImage:
    facts = {"package": package, "release": release, "hardware": hardware}
    return StoredImage("sha256:1", ("x",), {f"org.tfbisect.{name}": value for name, value in facts.items()})


def test_images_are_known_by_package_and_hardware() -> None:
    images = [image("tensorflow", "1.9.0"), image("tensorflow", "2.9.0", "cuda"), image("keras", "2.2.4")]
    known = KnownImages(lambda: images)
    assert known("tensorflow", "cpu") == {"1.9.0"}
    assert known("tensorflow", "cuda") == {"2.9.0"}
    assert known("torch", "cpu") == set()


def test_the_engine_is_asked_again_only_after_a_while() -> None:
    asked: list[float] = []
    now = [0.0]

    def listed() -> list[StoredImage]:
        asked.append(now[0])
        return []

    known = KnownImages(listed, lambda: now[0])
    for moment in (0.0, 1.0, REMEMBERED_SECONDS, REMEMBERED_SECONDS + 1):
        now[0] = moment
        known("tensorflow", "cpu")
    assert asked == [0.0, REMEMBERED_SECONDS + 1]


def test_an_engine_that_never_answered_holds_nothing_that_is_known() -> None:
    def refused() -> list[StoredImage]:
        raise NoRunner("no engine")

    assert KnownImages(refused)("tensorflow", "cpu") == set()


def test_while_an_engine_does_not_answer_what_it_held_last_stands() -> None:
    now, answers = [0.0], [True]

    def listed() -> list[StoredImage]:
        if not answers[0]:
            raise NoRunner("no engine")
        return [image("tensorflow", "1.9.0")]

    known = KnownImages(listed, lambda: now[0])
    before = known("tensorflow", "cpu")
    now[0], answers[0] = REMEMBERED_SECONDS + 1, False
    assert known("tensorflow", "cpu") == before == {"1.9.0"}

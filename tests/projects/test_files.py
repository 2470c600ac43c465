"""Files that are sent together: which paths are taken, how much, and the digest that stands for them."""

from __future__ import annotations

import pytest

from service.errors import ProjectError
from service.projects.files import Bounds, checked_path, project_of, unpacked

SMALL = Bounds(most_bytes=10, most_files=3)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/passwd", "is absolute"),
        ("C:/a.py", "is absolute"),
        ("\\\\host\\a", "is absolute"),
        ("../a.py", "may lead out"),
        ("own/../../a.py", "may lead out"),
        ("own\\..\\a.py", "may lead out"),
        ("a\nb.py", "control characters"),
        ("a\x1b[31m.py", "control characters"),
        ("a\0.py", "control characters"),
        ("a\udcff.py", "not text in UTF-8"),
        ("", "is empty"),
        ("./.", "is empty"),
        ("x" * 201, "longer than"),
        ("/".join(["x" * 100] * 5), "longer than"),
    ],
)
def test_a_path_that_cannot_be_laid_out_is_refused(path: str, words: str) -> None:
    with pytest.raises(ProjectError, match=words) as refused:
        checked_path(path)
    assert refused.value.field == "project"
    assert refused.value.message.isprintable()


def test_a_path_has_one_form() -> None:
    assert checked_path("./own//deep.py") == "own/deep.py"
    assert checked_path("größe/daten.csv") == "größe/daten.csv"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no files"),
        ([("a", b""), ("./a", b"")], "two files are named 'a'"),
        ([("a", b""), ("a/b", b"")], "'a' is both a file and a folder"),
        ([("a", b"x" * 11)], "more than"),
        ([("a", b"x" * 6), ("b", b"x" * 6)], "raise TFBISECT_PROJECT_BYTES"),
        ([(name, b"") for name in "abcd"], "more than 3 files"),
    ],
)
def test_what_does_not_fit_together_is_refused(files: list[tuple[str, bytes]], words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        project_of(files, SMALL)


def test_the_digest_stands_for_paths_and_contents_in_any_order() -> None:
    one = project_of([("a", b"1"), ("b/c", b"2")], SMALL)
    assert project_of([("b/c", b"2"), ("a", b"1")], SMALL).digest == one.digest
    assert one.digest.startswith("sha256:")
    others = [[("a", b"1")], [("a", b"2"), ("b/c", b"2")], [("a", b"1"), ("b/d", b"2")], [("a", b"12"), ("b/c", b"")]]
    assert one.digest not in {project_of(other, SMALL).digest for other in others}


def test_what_is_stored_comes_back_as_it_was_and_is_the_same_bytes_each_time() -> None:
    project = project_of([("b/c", bytes(range(10))), ("a", b"")], Bounds())
    again = unpacked(project.packed)
    assert (again.files, again.digest, again.packed) == (project.files, project.digest, project.packed)

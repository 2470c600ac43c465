"""Which packages a script gets beside the release, and what is refused up front."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalog.additions import (
    LARGEST_BLOCK_BYTES,
    AdditionRules,
    block_requirements,
    cannot_be_added,
    imported_modules,
    kept_imports,
    normal,
    not_addable,
    parsed,
    requirements_of_file,
)
from service.errors import BadInput, SnippetError

BLOCK = """\
# /// script
# requires-python = ">=3.8"
# dependencies = [
#     "tensorflow>=2.8",
#     "scikit-learn>=1,<2",
# ]
# ///
import tensorflow as tf
"""


def asked(*named: str, source: str = "", package: str = "tensorflow", **limits: str) -> dict[str, str]:
    """Return the additions of a request: who asked for each."""
    # `limits` are of two types, one for each parameter.
    found = AdditionRules(**limits).of(package, named, [source])  # type: ignore[arg-type]
    return {each.requirement: each.origin for each in found}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("pandas", "pandas"),
        ("  Scikit_Learn ", "scikit-learn"),
        ("pandas >=1.4, <2", "pandas<2,>=1.4"),
        ("requests[socks,Security]", "requests[security,socks]"),
        ("dataclasses; python_version<'3.7'", 'dataclasses; python_version < "3.7"'),
    ],
)
def test_equal_requirements_have_one_form(written: str, read: str) -> None:
    assert normal(parsed(written)) == read


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "is not a requirement"),
        ("pandas 2", "write it as pandas"),
        ("pandas @ https://example.org/pandas.whl", "has an address"),
        ("git+https://example.org/pandas", "a path or an address"),
        ("./pandas-1.0-py3-none-any.whl", "a path or an address"),
        ("/etc/passwd", "a path or an address"),
        ("-e .", "is an option"),
        ("--index-url=https://example.org/simple", "is an option"),
        ("pan\x00das", "printable"),
        ("pandas\n--index-url https://example.org", "printable"),
        ("p" * 300, "at most 200"),
    ],
)
def test_what_is_no_requirement_of_the_index_is_refused(written: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        parsed(written)
    assert caught.value.message.isprintable()
    assert caught.value.field == "with"


@given(st.text(max_size=60))
def test_any_text_is_a_requirement_or_is_refused(text: str) -> None:
    try:
        once = normal(parsed(text))
    except BadInput:
        return
    assert normal(parsed(once)) == once


def test_the_request_counts_before_the_block_and_the_block_before_the_imports() -> None:
    source = BLOCK + "import sklearn, pandas, scipy.sparse\n"
    assert asked("pandas==1.4", source=source) == {
        "pandas==1.4": "request",
        "scikit-learn<2,>=1": "block",
        "scipy": "import",
    }


def test_what_every_release_has_is_no_addition() -> None:
    source = "import numpy, six, tensorflow, os\nfrom google.protobuf import text_format\n"
    assert asked(source=source) == {}
    assert asked(source=source, package="packaging") == {"numpy": "import", "six": "import"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pandas.io as p", {"pandas"}),
        ("def f():\n    from sklearn import svm", {"sklearn"}),
        ("try:\n    import pandas\nexcept ImportError:\n    pandas = None", set()),
        ("try:\n    import pandas\nexcept (OSError, ImportError):\n    import cv2", {"cv2"}),
        ("try:\n    import pandas\nexcept:\n    pass", set()),
        ("try:\n    import pandas\nfinally:\n    pass", {"pandas"}),
        ("try:\n    import pandas\nexcept KeyError:\n    pass", {"pandas"}),
        ("from . import pandas", set()),
        ("pandas = 'import pandas'", set()),
        ("import (", set()),
    ],
)
def test_an_import_that_the_script_can_do_without_is_not_needed(source: str, found: set[str]) -> None:
    assert imported_modules(source, kept_imports().imports) == found


def test_legacy_keras_is_there_where_keras_3_is_the_usual_one() -> None:
    source = "import os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\nimport tensorflow\n"
    (found,) = AdditionRules().of("tensorflow", (), [source])
    assert found.requirement == "tf-keras"
    assert [release for release in ("1.14.0", "2.15.1", "2.16.1", "2.21.0") if found.is_for(release)] == [
        "2.16.1",
        "2.21.0",
    ]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("os.environ['TF_USE_LEGACY_KERAS'] = '1'", "1"),
        ('os.environ.setdefault("TF_USE_LEGACY_KERAS", "True")', "True"),
        ("os.environ.update(TF_USE_LEGACY_KERAS='1')", "1"),
        ("os.environ.update({'TF_USE_LEGACY_KERAS': 'true'})", "true"),
        ("os.environ['TF_USE_LEGACY_KERAS'] = '0'", None),
        ("# os.environ['TF_USE_LEGACY_KERAS'] = '1'", None),
        ("print('TF_USE_LEGACY_KERAS is no more')", None),
    ],
)
def test_legacy_keras_is_asked_for_by_what_its_variable_is_set_to(line: str, value: str | None) -> None:
    found = AdditionRules().of("tensorflow", (), [f"import os\n{line}\nimport tensorflow"])
    assert [each.variable for each in found] == ([("TF_USE_LEGACY_KERAS", value)] if value else [])


def test_two_demands_on_one_package_both_hold() -> None:
    assert asked("pandas>=1.4", "pandas<2") == {"pandas<2,>=1.4": "request"}


def test_the_package_under_test_cannot_stand_beside_itself() -> None:
    for name in ("tensorflow", "tensorflow-cpu==2.3.0", "TensorFlow_GPU"):
        with pytest.raises(BadInput, match="package under test"):
            asked(name)
    assert asked("tensorflow-cpu==2.17.0", package="numpy") == {"tensorflow-cpu==2.17.0": "request"}


@pytest.mark.parametrize(("allowed", "said"), [("none", "adds no packages"), ("scipy, Pandas", "only these packages")])
def test_a_service_limits_what_is_added(allowed: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        asked("polars", allowed=allowed)
    with pytest.raises(BadInput, match=said):
        asked(source=BLOCK, allowed=allowed)
    imported = {} if allowed == "none" else {"pandas": "import"}
    assert asked(source="import pandas, polars", allowed=allowed) == imported


def test_a_service_limits_how_many_packages_are_named() -> None:
    rules = AdditionRules(at_most=2)
    assert len(rules.of("tensorflow", ("pandas", "scipy"), ["import cv2"])) == 3
    with pytest.raises(BadInput, match="3 packages asked for beside the release, and at most 2 may be"):
        rules.of("tensorflow", ("pandas", "scipy", "polars"), [""])


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("dependencies = [", "is not TOML"),
        ("dependencies = 'pandas'", "not a list of texts"),
        ("dependencies = ['pandas @ file:///etc/passwd']", "has an address"),
        ("dependencies = []\n[tool.uv]\nindex-url = 'https://example.org'", "tool.uv.index-url"),
        ("[tool.uv.sources]\npandas = {git = 'https://example.org/x'}", "tool.uv.sources"),
        ("x = " + "[" * 10_000, "is not TOML"),
        ("x = '" + "a" * LARGEST_BLOCK_BYTES + "'", "more than 16 KiB"),
    ],
)
def test_a_block_that_cannot_be_used_is_named_with_its_line(block: str, said: str) -> None:
    commented = "\n".join(f"# {line}" for line in block.splitlines())
    with pytest.raises(SnippetError, match=said) as caught:
        block_requirements(f"import os\n# /// script\n{commented}\n# ///\n")
    assert caught.value.line == 2


def test_a_script_has_one_block_and_an_open_one_is_a_comment() -> None:
    with pytest.raises(SnippetError, match="second one"):
        block_requirements(BLOCK + BLOCK)
    assert block_requirements("# /// script\n# dependencies = ['pandas']\nimport os\n# ///\n") == []
    assert block_requirements("# /// script\n" * 5000) == []


def test_a_requirements_file_is_read_as_installers_read_it() -> None:
    text = (
        "# what we need\n\npandas==1.4.4 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "scikit-learn >= 1  # trees\nnumpy ; python_version < '3.9'\n"
    )
    assert requirements_of_file(text, "r.txt") == [
        "pandas==1.4.4",
        "scikit-learn>=1",
        'numpy; python_version < "3.9"',
    ]


@pytest.mark.parametrize(
    "line",
    ["-r other.txt", "-c bounds.txt", "-e .", "--index-url https://example.org", "--find-links=x", "./wheels/a.whl"],
)
def test_a_line_that_says_where_packages_come_from_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(BadInput, match=r"r\.txt, line 2: "):
        requirements_of_file(f"pandas\n{line}\n", "r.txt")


def test_the_reason_of_a_release_tells_which_addition_is_at_fault() -> None:
    assert not_addable(cannot_be_added(["polars==1.0"], "tensorflow 2.10.0", "no wheel")) == ("polars==1.0",)
    assert not_addable(cannot_be_added(["a<2", "b"], "tensorflow 2.10.0", "no wheel")) == ("a<2", "b")
    assert not_addable("tensorflow 1.13.0 is not on the package index.") == ()


def test_every_kept_import_names_a_package_as_the_index_does() -> None:
    kept = kept_imports()
    assert len(kept.imports) > 80
    for requirement in (*kept.imports.values(), *(each.requirement for each in kept.mention)):
        assert normal(parsed(requirement)) == requirement

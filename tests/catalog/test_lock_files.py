from __future__ import annotations

from pathlib import Path

import pytest

from service.catalog.lock_files import pinned_in
from service.errors import BadInput

REQUIREMENTS = """\
# made by a resolver
--index-url https://example.invalid/simple
NumPy==1.26.4 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
pandas==2.2.3 ; sys_platform == "linux"
pywin32==306 ; sys_platform == "win32"
ruff>=0.5
Keras_Preprocessing===1.1.2  # exactly
six == 1.16.0
-e git+https://example.invalid/x.git#egg=x
mine @ file:///home/mine
wild==1.*
"""
UV = """\
version = 1
[[package]]
name = "project"
version = "0.1.0"
source = { virtual = "." }
[[package]]
name = "numpy"
version = "2.2.6"
resolution-markers = ["sys_platform == 'darwin'"]
[[package]]
name = "numpy"
version = "1.26.4"
resolution-markers = ["sys_platform != 'darwin'"]
[[package]]
name = "Keras"
version = "3.0.5"
source = { registry = "https://example.invalid/simple" }
"""
PYLOCK = """\
lock-version = "1.0"
[[packages]]
name = "numpy"
version = "1.26.4"
[[packages]]
name = "colorama"
version = "0.4.6"
marker = "sys_platform == 'win32'"
[[packages]]
name = "own"
directory = { path = "." }
"""


@pytest.mark.parametrize(
    ("name", "text", "pinned"),
    [
        (
            "requirements.txt",
            REQUIREMENTS,
            {"numpy": "1.26.4", "pandas": "2.2.3", "keras-preprocessing": "1.1.2", "six": "1.16.0"},
        ),
        ("requirements.lock", REQUIREMENTS.split("ruff", maxsplit=1)[0], {"numpy": "1.26.4", "pandas": "2.2.3"}),
        ("freeze.txt", "absl-py==1.0.0\ntensorflow==2.10.0\n", {"absl-py": "1.0.0", "tensorflow": "2.10.0"}),
        ("uv.lock", UV, {"numpy": "1.26.4", "keras": "3.0.5"}),
        ("pylock.toml", PYLOCK, {"numpy": "1.26.4"}),
        ("pylock.new.toml", PYLOCK, {"numpy": "1.26.4"}),
        ("poetry.lock", '[[package]]\nname = "six"\nversion = "1.16.0"\n', {"six": "1.16.0"}),
    ],
)
def test_every_kind_of_lock_is_read(tmp_path: Path, name: str, text: str, pinned: dict[str, str]) -> None:
    (tmp_path / name).write_text(text)
    assert pinned_in(tmp_path / name) == pinned


@pytest.mark.parametrize(
    "text", ["", "numpy>=1\n", "[package]\n", "\x00\x01", "[[package]]\nname = 1\n", "a = [" * 5000]
)
def test_what_pins_nothing_is_refused_with_what_to_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.lock").write_text(text)
    with pytest.raises(BadInput, match=r"pins no version; name a file"):
        pinned_in(tmp_path / "odd.lock")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        pinned_in(tmp_path / "nothing.txt")

"""Makes a request from the command line's options."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from pydantic import ValidationError

from service.catalog.additions import kept_imports, requirements_of_file
from service.catalog.notebooks import as_script, script_of_notebook
from service.catalog.releases import package_name
from service.catalog.snippets import decoded, read_source
from service.coordination.intake import BisectionRequest
from service.errors import BadInput


def read_snippet(path: str) -> str:
    """Return the source in a file, or standard input for "-"; a notebook as a script.

    Raises:
        BadInput: the file is missing, is a folder, or is not UTF-8 text.
    """
    if path == "-":
        return as_script(decoded(sys.stdin.buffer.read(), "standard input"))
    text = read_source(Path(path))
    return script_of_notebook(text, path) if path.endswith(".ipynb") else as_script(text)


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of "28,28".

    Raises:
        BadInput: a part is not an integer.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise BadInput(f"--input-shape {text!r} is not a list of whole numbers; write it as 28,28.") from None


def parse_pairs(option: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Return values by name from NAME=VALUE; a value is JSON if it parses as JSON, otherwise text.

    Raises:
        BadInput: a pair without a name or an equals sign.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadInput(f"{option} {pair!r} is not a pair; write it as NAME=VALUE.")
        try:
            values[name] = json.loads(value)
        except (ValueError, RecursionError):
            values[name] = value
    return values


def parse_parameters(pairs: Iterable[str], expected: Iterable[str], **named: Any) -> dict[str, Any]:
    """Return the probe's parameters.

    Args:
        pairs: from --set.
        expected: from --expect; together they are the parameter `expect`.
        named: parameters with separate options; None if an option was not given.

    Raises:
        BadInput: a pair without a name or an equals sign.
    """
    values = parse_pairs("--expect", expected)
    given = {name: value for name, value in named.items() if value is not None}
    return {**parse_pairs("--set", pairs), **given, **({"expect": values} if values else {})}


def parse_variants(names: Iterable[str]) -> dict[str, Any]:
    """Return variants in the form of a request: names, and sources read from files.

    Raises:
        BadInput: a file cannot be read.
    """
    own = {name for name in names if name.endswith(".py")}
    return {
        "variants": tuple(name for name in names if name not in own),
        "variant_snippets": {Path(name).stem: read_snippet(name) for name in sorted(own)},
    }


def parse_additions(named: Iterable[str], file: Path | None, package: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the requirements of --with and --requirements, and those of the file that are left out.

    A requirements file names the package under test too; its releases are what is compared.

    Raises:
        BadInput: the file cannot be read, or has a line that cannot be used.
    """
    if file is None:
        return tuple(named), []
    under_test = kept_imports().same_framework(package_name(package))
    listed = requirements_of_file(read_text(file), str(file))
    left_out = [each for each in listed if Requirement(each).name in under_test]
    return (*named, *(each for each in listed if each not in left_out)), left_out


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        BadInput: it is missing, a folder, or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8.") from None


def build_request(**fields: Any) -> BisectionRequest:
    """Return a request.

    Raises:
        BadInput: a field is invalid; the message names it.
    """
    try:
        return BisectionRequest(**{name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{where}: {first['msg']} (got {first['input']!r}).", field=where) from None

"""Additions: packages that a script needs beside the release, from the request, the script's own block and its imports.

Pure, except for reading images/imports.toml. Versions are chosen later, for each release as of its own day.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, is_normalized_name
from pydantic import BaseModel, ConfigDict, ValidationError

from service.bisection.words import counted
from service.catalog.recipes import Package, Range
from service.errors import BadInput, SnippetError
from service.resources import resource_dir
from service.syntax import syntax_tree_of

Origin = Literal["request", "block", "import"]
"""Who asked for an addition: the request, the script's PEP 723 block, or what the script imports."""

LONGEST_REQUIREMENT = 200
LARGEST_BLOCK_BYTES = 16 * 1024
LARGEST_FILE_BYTES = 256 * 1024
ANY, NONE = "any", "none"
SHOWN_CHARACTERS = 80
FILE_HASH = re.compile(r"\s--hash[=\s]\S+")
ELSEWHERE = frozenset({"sources", "index", "index-url", "extra-index-url", "find-links", "no-index"})
"""Keys of a block's [tool.uv] that say where packages come from."""
FORGIVING = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
"""Exceptions that a script catches where it can do without an import."""


@dataclass(frozen=True)
class Addition:
    """A package that stands beside the release."""

    requirement: str
    """In its normal form, such as `pandas<2,>=1.4`."""
    origin: Origin
    releases: str = ""
    """Range of the package under test that it is for; "" for all."""
    variable: tuple[str, str] | None = None
    """A variable that the script asks for it with, and its value."""

    @property
    def name(self) -> str:
        return Requirement(self.requirement).name

    def is_for(self, release: str) -> bool:
        return not self.releases or SpecifierSet(self.releases).contains(release, prereleases=True)


class Mention(BaseModel):
    """A variable that a script sets to ask for a package without importing it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variable: str
    values: tuple[str, ...]
    requirement: str
    packages: tuple[Package, ...]
    releases: Range = ""

    def set_by(self, source: str) -> str | None:
        """Return the value that a script sets the variable to, where it asks for the package."""
        if self.variable not in source:
            return None
        code = re.sub(r"(?m)^\s*#.*$", "", source)
        name = re.escape(self.variable)
        found = re.search(rf"""{name}(?:["']\s*\]\s*=|["']\s*,|["']\s*:|\s*=)\s*["'](\w+)["']""", code)
        return found[1] if found and found[1] in self.values else None


class Framework(BaseModel):
    """Packages that are one framework."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    packages: tuple[Package, ...]


class AlwaysThere(BaseModel):
    """What every environment of some packages has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    packages: tuple[Package, ...]
    has: tuple[Package, ...]


class KeptImports(BaseModel):
    """The content of imports.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    imports: Mapping[str, Package]
    mention: tuple[Mention, ...] = ()
    framework: tuple[Framework, ...] = ()
    standing: tuple[AlwaysThere, ...] = ()

    def same_framework(self, package: str) -> frozenset[str]:
        """Return a package with those that are the same framework."""
        return frozenset({package}).union(*(each.packages for each in self.framework if package in each.packages))

    def needed_by(self, source: str, package: str) -> Iterator[Addition]:
        """Yield what a script imports or mentions, but for what the releases of a package always have."""
        there = self.same_framework(package).union(*(each.has for each in self.standing if package in each.packages))
        for module in sorted(imported_modules(source, self.imports.keys())):
            if self.imports[module] not in there:
                yield Addition(self.imports[module], "import")
        for each in self.mention:
            if package in each.packages and (value := each.set_by(source)):
                yield Addition(each.requirement, "import", each.releases, (each.variable, value))


@lru_cache
def kept_imports(path: Path | None = None) -> KeptImports:
    """Read the kept list of imports; by default the one that comes with tfbisect.

    Raises:
        BadInput: it cannot be read, or has a key that it must not have.
    """
    path = path or resource_dir("images") / "imports.toml"
    try:
        return KeptImports.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput(f"{path} cannot be read: {error}; fix the file.") from error


class AdditionRules:
    """Says which additions a script gets, within what the service allows."""

    def __init__(self, kept: KeptImports | None = None, allowed: str = ANY, at_most: int = 16) -> None:
        """Make rules.

        Args:
            kept: which package a module comes from; by default the list that comes with tfbisect.
            allowed: any, none, or the names of packages, separated by commas.
            at_most: how many packages a request may name.
        """
        self._kept = kept or kept_imports()
        self._allowed = allowed.strip()
        self._at_most = at_most

    def of(self, package: str, named: Sequence[str], sources: Iterable[str]) -> tuple[Addition, ...]:
        """Return the additions of a request, in order of their names.

        What the request names counts first, then what a script's block names, then what it imports.

        Args:
            package: the package under test.
            named: requirements of the request.
            sources: the snippet and its variants.

        Raises:
            BadInput: a requirement cannot be used here, or the service does not allow it.
        """
        frameworks = self._kept.same_framework(package)
        asked = merged(parsed(text) for text in named)
        for requirement in asked:
            self._check(requirement, package, frameworks)
        found = [Addition(normal(requirement), "request") for requirement in asked]
        for source in sources:
            found += self._of_block(source, package, frameworks, {each.name for each in found})
        if len(found) > self._at_most:
            raise BadInput(
                f"{counted(len(found), 'package')} asked for beside the release, and at most {self._at_most} may be; "
                "name only what the script imports.",
                field="with",
            )
        for source in sources:
            found += self._imported(source, package, {each.name for each in found})
        return tuple(sorted(found, key=lambda each: each.requirement))

    def _of_block(self, source: str, package: str, frameworks: frozenset[str], known: set[str]) -> list[Addition]:
        """Return what a script's own block names; the package under test is there anyway."""
        inside = [each for each in merged(block_requirements(source)) if each.name not in frameworks | known]
        for requirement in inside:
            self._check(requirement, package, frameworks)
        return [Addition(normal(requirement), "block") for requirement in inside]

    def _imported(self, source: str, package: str, known: set[str]) -> list[Addition]:
        """Return what a script imports, as far as the service adds it."""
        found = {each.name: each for each in self._kept.needed_by(source, package)}
        return [each for name, each in found.items() if name not in known and self._allows(name)]

    def _check(self, requirement: Requirement, package: str, frameworks: frozenset[str]) -> None:
        """Refuse what is under test, and what the service does not add."""
        if requirement.name in frameworks:
            raise BadInput(
                f"{normal(requirement)} cannot stand beside the releases of {package}, which is the package under "
                "test; use --releases to choose among them.",
                field="with",
            )
        if not self._allows(requirement.name):
            which = "no packages" if self._allowed == NONE else f"only these packages: {self._allowed}"
            raise BadInput(f"this service adds {which}; {requirement.name} is not among them.", field="with")

    def _allows(self, name: str) -> bool:
        if self._allowed in (ANY, NONE):
            return self._allowed == ANY
        return name in {canonicalize_name(each.strip()) for each in self._allowed.split(",")}


CANNOT = " cannot be added to "
TOGETHER = " with "


def cannot_be_added(requirements: Sequence[str], release: str, reason: str) -> str:
    """Say that additions cannot be had beside a release, so that `not_addable` reads which."""
    return f"{TOGETHER.join(requirements)}{CANNOT}{release}: {reason}"


def not_addable(reason: str) -> tuple[str, ...]:
    """Return the additions at fault for a release that cannot be tested; none where it has another reason."""
    named, said, _ = reason.partition(CANNOT)
    return tuple(named.split(TOGETHER)) if said else ()


def parsed(text: str) -> Requirement:
    """Return a requirement, its name as the index spells it.

    Raises:
        BadInput: it is not one, or names a place that a package comes from.
    """
    if len(text) > LONGEST_REQUIREMENT or not text.isprintable():
        raise BadInput(
            f"{quoted(text)} is not a requirement: it may have at most {LONGEST_REQUIREMENT} printable characters.",
            field="with",
        )
    if text.strip().startswith("-"):
        raise BadInput(
            f"{quoted(text)} is an option, not a requirement; packages come from this service's own index only.",
            field="with",
        )
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise BadInput(f"{quoted(text)} is not a requirement{_why_not(text, error)}", field="with") from None
    if requirement.url is not None:
        raise BadInput(
            f"{quoted(text)} has an address, but packages come from this service's own index only: write "
            f"{requirement.name}, with a version if need be.",
            field="with",
        )
    requirement.name = canonicalize_name(requirement.name)
    if not is_normalized_name(requirement.name):
        raise BadInput(f"{quoted(text)} is not a requirement: no package can have that name.", field="with")
    return requirement


def _why_not(text: str, error: InvalidRequirement) -> str:
    """Return what is wrong with a requirement, and what to write instead."""
    if "/" in text or "\\" in text or text.strip().endswith((".whl", ".zip", ".gz")):
        return " but a path or an address; packages come from this service's own index only."
    return f" ({str(error).splitlines()[0]}); write it as pandas or numpy==1.26.4."


def quoted(text: str) -> str:
    """Return untrusted text for a message: short, control characters escaped."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")


def normal(requirement: Requirement) -> str:
    """Return a requirement in the form that equal ones share."""
    extras = f"[{','.join(sorted(map(canonicalize_name, requirement.extras)))}]" if requirement.extras else ""
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{canonicalize_name(requirement.name)}{extras}{requirement.specifier}{marker}"


def merged(requirements: Iterable[Requirement]) -> list[Requirement]:
    """Return requirements with one for each name and marker: all that is asked of a package holds."""
    found: dict[tuple[str, str], Requirement] = {}
    for each in requirements:
        earlier = found.setdefault((each.name, str(each.marker or "")), each)
        if earlier is not each:
            earlier.specifier &= each.specifier
            earlier.extras |= each.extras
    return list(found.values())


def requirements_of_file(text: str, name: str) -> list[str]:
    """Return the requirements in a requirements file.

    Raises:
        BadInput: a line is no requirement, or says where packages come from; the message names the line.
    """
    if len(text.encode("utf-8", "replace")) > LARGEST_FILE_BYTES:
        raise BadInput(
            f"{name} has more than {LARGEST_FILE_BYTES // 1024} KiB; name the packages that the script needs."
        )
    found = []
    for number, line in _logical_lines(text):
        # The environment gets a lock with hashes of its own, which are of the versions of each release's day.
        requirement = FILE_HASH.sub("", f" {line}").strip()
        if requirement:
            try:
                found.append(normal(parsed(requirement)))
            except BadInput as error:
                raise BadInput(f"{name}, line {number}: {error.message}", field="with") from None
    return found


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a requirements file, continued ones joined, without comments."""
    begun, held = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        begun = begun if held else number
        held += re.sub(r"(^|\s)#.*$", "", line)
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        yield begun, held.strip()
        held = ""
    if held:
        yield begun, held.strip()


def block_requirements(source: str) -> list[Requirement]:
    """Return the dependencies in a script's PEP 723 block.

    Raises:
        SnippetError: the block cannot be used; the message says why.
    """
    begin, block = script_block(source)
    if not block:
        return []
    if len(block.encode("utf-8", "replace")) > LARGEST_BLOCK_BYTES:
        raise _bad_block(begin, f"has more than {LARGEST_BLOCK_BYTES // 1024} KiB")
    try:
        content = tomllib.loads(block)
    except (ValueError, RecursionError) as error:
        raise _bad_block(begin, f"is not TOML ({error or 'nested too deeply'})") from None
    if found := ELSEWHERE & _mapping(_mapping(content.get("tool")).get("uv")).keys():
        raise _bad_block(begin, f"says where packages come from (tool.uv.{min(found)}), which only this service does")
    dependencies = content.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(each, str) for each in dependencies):
        raise _bad_block(begin, "has `dependencies` that are not a list of texts")
    try:
        return [parsed(each) for each in dependencies]
    except BadInput as error:
        raise _bad_block(begin, f"cannot be used: {error.message}") from None


def script_block(source: str) -> tuple[int, str]:
    """Return the first line and the content of a script's block; empty if it has none.

    Raises:
        SnippetError: it has two.
    """
    lines = source.splitlines()
    blocks: list[tuple[int, str]] = []
    place = 0
    while place < len(lines):
        place += 1
        if lines[place - 1] != "# /// script":
            continue
        begin, last = place, None
        while place < len(lines) and (lines[place] == "#" or lines[place].startswith("# ")):
            last = place if lines[place] == "# ///" else last
            place += 1
        if last is not None:
            blocks.append((begin, "\n".join(line[2:] for line in lines[begin:last])))
    if len(blocks) > 1:
        raise _bad_block(blocks[1][0], "is the second one; a script has one")
    return blocks[0] if blocks else (0, "")


def _bad_block(line: int, said: str) -> SnippetError:
    return SnippetError(f"line {line}: the script's block {said}; fix it and submit again.", field="snippet", line=line)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def imported_modules(source: str, among: Iterable[str]) -> set[str]:
    """Return which of some modules a script imports, without those that it can do without."""
    mentioned = set(among) & set(re.findall(r"\w+", source))
    if not mentioned:
        return set()  # no tree is read for what most scripts are
    try:
        tree = syntax_tree_of(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()  # refused elsewhere, with its line
    return {name for node in _needed(tree) for name in _top_levels(node)} & mentioned


def _needed(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree, but not the body of a `try` that catches a failed import."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        forgiven = node.body if isinstance(node, ast.Try) and any(map(_forgives, node.handlers)) else ()
        todo += [child for child in ast.iter_child_nodes(node) if child not in forgiven]


def _forgives(handler: ast.ExceptHandler) -> bool:
    """Say whether an `except` catches a failed import."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(each is None or (isinstance(each, ast.Name) and each.id in FORGIVING) for each in caught)


def _top_levels(node: ast.AST) -> list[str]:
    """Return the first parts of the names that an import statement imports."""
    match node:
        case ast.Import(names=aliases):
            return [alias.name.partition(".")[0] for alias in aliases]
        case ast.ImportFrom(module=str(module), level=0):
            return [module.partition(".")[0]]
    return []

"""The functions and methods in Python sources, and which of them differ between two releases. Pure."""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol

Kind = Literal["text", "added", "removed"]
Function = ast.FunctionDef | ast.AsyncFunctionDef

GENERATED = re.compile(r"(?:^|/)(?:gen_[^/]*|[^/]*_pb2[^/]*|pywrap_[^/]*|_pywrap[^/]*)\.py$|(?:^|/)_api/|_grpc\.py$")
"""What a build wrote: nobody changed it by hand."""
TESTS = re.compile(r"(?:^|/)(?:tests?|testing)/|_test\.py$")
COMMON_ROOTS = frozenset({"tensorflow", "python", "keras", "src", "_tf_keras", "tensorflow_core"})
"""Folders that came and went: keras/engine was tensorflow/python/keras/engine before 2.6 and keras/src/engine after."""


@dataclass(frozen=True)
class Definition:
    """A function or method: what of a source can get another text while a program runs."""

    file: str
    """From the folder of packages on, such as tensorflow/python/keras/engine/training.py."""
    name: str
    """Qualified: Model.compile."""
    line: int
    """The first one, decorators included: what Python calls the first line of its code."""
    end: int
    digest: str
    """Of its syntax, without docstrings: comments and layout do not count."""
    defaults: str
    """Of the defaults of its parameters alone."""

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def owner(self) -> str:
        """Return the class that it is a method of; "" for a function."""
        return self.name.rpartition(".")[0]


@dataclass(frozen=True)
class ChangedDefinition:
    """A definition that differs between two releases."""

    id: str
    """Digest of both texts and of where they stand."""
    kind: Kind
    """text: it is another one; added, removed: a method that hides an inherited one on one side only."""
    before: Definition | None
    after: Definition | None

    @property
    def name(self) -> str:
        return self.shown.name

    @property
    def shown(self) -> Definition:
        """Return it as it is in the newer release, else as it was in the older one."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a changed definition has at least one side")
        return found

    @property
    def other_defaults(self) -> bool:
        """Say whether the defaults of its parameters differ."""
        return self.before is not None and self.after is not None and self.before.defaults != self.after.defaults


class SourceTree(Protocol):
    """The Python sources of one side."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Return something that differs where the content of two files does, by path."""

    def text(self, path: str) -> str:
        """Return a file's text."""


@cache
def definitions_in(text: str, file: str) -> tuple[Definition, ...]:
    """Return the functions and methods of a source, those inside functions left out; none if it cannot be read."""
    tree = syntax_of(text)
    return () if tree is None else tuple(_definitions(tree.body, "", file))


def syntax_of(text: str) -> ast.Module | None:
    """Return the syntax tree of a source of any Python 3, None if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that later Pythons warn about
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return None


def _definitions(body: Sequence[ast.stmt], owner: str, file: str) -> Iterator[Definition]:
    for node in body:
        if isinstance(node, Function):
            yield _definition(node, owner, file)
        elif isinstance(node, ast.ClassDef):
            yield from _definitions(node.body, f"{owner}{node.name}.", file)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            inner = [node.body, *(getattr(node, name, []) for name in ("orelse", "finalbody"))]
            inner += [handler.body for handler in getattr(node, "handlers", ())]
            for part in inner:
                yield from _definitions(part, owner, file)


def _definition(node: Function, owner: str, file: str) -> Definition:
    line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    defaults = [*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)]
    said = _digest("".join(ast.dump(each) for each in defaults))
    return Definition(file, owner + node.name, line, node.end_lineno or line, _digest(_without_docstrings(node)), said)


def _without_docstrings(node: Function) -> str:
    """Return a definition's syntax as text, without its docstring and those of functions inside it."""
    shown = ast.dump(node)
    for each in ast.walk(node):
        if isinstance(each, Function | ast.ClassDef) and ast.get_docstring(each, clean=False) is not None:
            shown = shown.replace(ast.dump(each.body[0]), "", 1)
    return shown


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def is_candidate(path: str) -> bool:
    """Say whether somebody wrote a file by hand, for those who use the package."""
    return path.endswith(".py") and not GENERATED.search(path) and not TESTS.search(path)


def matched_files(before: Collection[str], after: Collection[str]) -> dict[str, str]:
    """Return which file of the older release each file of the newer one was: of the same path, else one that moved."""
    found = {path: path for path in after if path in before}
    gone = _by_tail(path for path in before if path not in after)
    new = _by_tail(path for path in after if path not in before)
    for tail, paths in new.items():
        if len(paths) == 1 and len(gone.get(tail, ())) == 1:
            found[paths[0]] = gone[tail][0]
    return found


def _by_tail(paths: Iterator[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        parts = path.split("/")
        # What is common to all comes at the front, in any order and number.
        while len(parts) > 1 and parts[0] in COMMON_ROOTS:
            parts.pop(0)
        found["/".join(part for part in parts if part != "src")].append(path)
    return found


Executed = Mapping[str, Collection[int]]
"""By file: the first lines of the code that was executed."""


def changed_definitions(
    before: SourceTree, after: SourceTree, executed_before: Executed, executed_after: Executed
) -> tuple[ChangedDefinition, ...]:
    """Return the definitions that differ and were executed on either side, in the order of files and lines."""
    found: list[ChangedDefinition] = []
    for new, old in sorted(differing_files(before, after).items()):
        if new in executed_after or old in executed_before:
            olds = _by_name(definitions_in(before.text(old), old))
            news = _by_name(definitions_in(after.text(new), new))
            were = _executed_names(olds.values(), executed_before.get(old, ()))
            are = _executed_names(news.values(), executed_after.get(new, ()))
            found += _changed(olds, news, were, are)
    return tuple(found)


def differing_files(before: SourceTree, after: SourceTree) -> dict[str, str]:
    """Return the files whose content differs, or that moved: newer path to older path."""
    pairs = matched_files(before.digests.keys(), after.digests.keys())
    return {
        new: old
        for new, old in pairs.items()
        if is_candidate(new) and (new != old or before.digests[old] != after.digests[new])
    }


def _by_name(definitions: Sequence[Definition]) -> dict[str, Definition]:
    """Return definitions by name; of several with one name, such as a property and its setter, none."""
    named: dict[str, list[Definition]] = defaultdict(list)
    for each in definitions:
        named[each.name].append(each)
    return {name: several[0] for name, several in named.items() if len(several) == 1}


def _executed_names(definitions: Collection[Definition], lines: Collection[int]) -> set[str]:
    """Return which definitions were executed, or had a function inside them that was."""
    return {each.name for each in definitions if any(each.line <= line <= each.end for line in lines)}


def _changed(
    olds: Mapping[str, Definition], news: Mapping[str, Definition], were: set[str], are: set[str]
) -> Iterator[ChangedDefinition]:
    for name, new in news.items():
        old = olds.get(name)
        if old is not None and old.digest != new.digest and name in were | are:
            yield _changed_definition("text", old, new)
        elif old is None and name in are and new.owner and _has_owner(olds, new.owner):
            yield _changed_definition("removed", None, new)
    for name in were - news.keys():
        yield _changed_definition("added", olds[name], None)


def _has_owner(definitions: Mapping[str, Definition], owner: str) -> bool:
    return any(each.owner == owner for each in definitions.values())


def _changed_definition(kind: Kind, before: Definition | None, after: Definition | None) -> ChangedDefinition:
    sides = [f"{each.file}\0{each.name}\0{each.digest}" if each else "" for each in (before, after)]
    return ChangedDefinition(_digest("\1".join(sides)), kind, before, after)


def lines_of(text: str, definition: Definition) -> list[str]:
    """Return the lines of a definition."""
    return text.splitlines()[definition.line - 1 : definition.end]


def statements_that_differ(before: SourceTree, after: SourceTree, executed: Collection[str]) -> int:
    """Count the statements outside functions that differ in executed files: class bases, constants, decorators."""
    count = 0
    for new, old in differing_files(before, after).items():
        if new in executed:
            sides = [syntax_of(before.text(old)), syntax_of(after.text(new))]
            if sides[0] is not None and sides[1] is not None:
                count += len(set(_outside(sides[1])) - set(_outside(sides[0])))
    return count


def _outside(tree: ast.Module) -> Iterator[str]:
    """Yield the statements of a module and of its classes as text; imports, docstrings and functions left out."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield ast.dump(ast.Tuple([*node.bases, *(keyword.value for keyword in node.keywords)]))
            inner: Sequence[ast.stmt] = node.body
        else:
            inner = [node]
        for each in inner:
            is_text = isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
            if not is_text and not isinstance(each, Function | ast.ClassDef | ast.Import | ast.ImportFrom):
                yield ast.dump(each)

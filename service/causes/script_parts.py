"""What can be left out of a script: statements level by level, then arguments and items, each with its text."""

from __future__ import annotations

import ast
import builtins
import io
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.catalog.interfaces import parsed_tree

BODIES = ("body", "orelse", "finalbody")
ALWAYS_THERE = frozenset(dir(builtins)) | {"__file__", "__name__", "__doc__"}
METADATA = "# ///"
"""Begins and ends a block of requirements (PEP 723), which is no mere comment."""


Placed = ast.stmt | ast.expr | ast.keyword
"""What has a place in the text."""


@dataclass(frozen=True)
class Part:
    """One part of a script that can be left out."""

    start: int
    """In bytes."""
    end: int
    instead: str = ""


@dataclass(frozen=True)
class Group:
    """Parts that stand beside each other."""

    parts: tuple[Part, ...]
    is_list: bool = False
    """They are parted by commas, and written anew where one of them goes."""
    is_tuple: bool = False

    def only(self, source: str, kept: Sequence[Part]) -> str:
        """Return a script with only some of the parts."""
        if not self.is_list:
            return without(source, [part for part in self.parts if part not in kept])
        whole = source.encode()
        texts = [whole[part.start : part.end].decode() for part in kept]
        first, last = self.parts[0], self.parts[-1]
        rest = whole[last.end :].lstrip()
        end = len(whole) - len(rest) + 1 if rest.startswith(b",") else last.end
        return without(source, [Part(first.start, end, ", ".join(texts) + "," * (self.is_tuple and len(texts) == 1))])


def statements(source: str, depth: int) -> list[Group]:
    """Return the statements at a depth, those of each block together; none where there is no such depth."""
    tree = parsed_tree(source)
    places = _Places(source)
    return [
        Group(tuple(places.statement(each, alone=len(block) == 1 and depth > 0) for each in block))
        for block in (_blocks(tree, depth) if tree is not None else ())
    ]


def _blocks(tree: ast.Module, depth: int) -> list[list[ast.stmt]]:
    blocks: list[list[ast.stmt]] = [tree.body]
    for _ in range(depth):
        blocks = [inner for block in blocks for statement in block for inner in _bodies(statement)]
    return [block for block in blocks if block]


def _bodies(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in BODIES:
        body = getattr(statement, name, None)
        if isinstance(body, list) and body:
            yield body
    for handler in getattr(statement, "handlers", ()):
        yield handler.body


def arguments(source: str) -> list[Group]:
    """Return the arguments of each call and the items of each list that can be left out, those farthest out first."""
    tree = parsed_tree(source)
    places = _Places(source)
    found: list[tuple[int, Group]] = []
    for node, depth in _with_depth(tree) if tree is not None else ():
        given: list[Placed] = []
        if isinstance(node, ast.Call):
            given = [*node.args, *node.keywords]
        elif isinstance(node, ast.List | ast.Tuple | ast.Set) and isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            given = list(node.elts)
        parts = tuple(Part(places.start(each), places.end(each)) for each in given)
        if parts:
            found.append((depth, Group(parts, is_list=True, is_tuple=isinstance(node, ast.Tuple))))
    return [group for _, group in sorted(found, key=lambda each: each[0])]


def _with_depth(tree: ast.AST, depth: int = 0) -> Iterator[tuple[ast.AST, int]]:
    yield tree, depth
    for child in ast.iter_child_nodes(tree):
        yield from _with_depth(child, depth + 1)


def wrappers(source: str) -> list[Part]:
    """Return statements that only hold others, each with those in its place: `with`, `if`, `for`, `try`."""
    tree = parsed_tree(source)
    places = _Places(source)
    holding = ast.With | ast.If | ast.For | ast.Try | ast.While
    nodes = [node for node in tree.body if isinstance(node, holding)] if tree is not None else []
    return [places.unwrapped(node) for node in nodes]


class _Places:
    """Where the nodes of a script's tree are in its bytes."""

    def __init__(self, source: str) -> None:
        self._bytes = source.encode()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: Placed) -> int:
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        return int(self._starts[first - 1] + node.col_offset)

    def end(self, node: Placed) -> int:
        return int(self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0))

    def statement(self, node: ast.stmt, *, alone: bool) -> Part:
        start, end = self.start(node), self.end(node)
        if alone:
            return Part(start, end, "pass")
        first = self._bytes.rfind(b"\n", 0, start) + 1
        last = self._bytes.find(b"\n", end)
        last = len(self._bytes) if last < 0 else last + 1
        whole_line = not self._bytes[first:start].strip() and not self._bytes[end:last].partition(b"#")[0].strip()
        return Part(first, last) if whole_line else Part(start, end, "pass")

    def unwrapped(self, node: ast.With | ast.If | ast.For | ast.Try | ast.While) -> Part:
        body = node.body
        text = self._bytes[self.start(body[0]) : self.end(body[-1])].decode()
        margin = " " * body[0].col_offset
        lines = [line.removeprefix(margin) for line in text.split("\n")]
        return Part(self.start(node), self.end(node), "\n".join(lines))


def without(source: str, parts: Sequence[Part]) -> str:
    """Return a script without some parts; parts do not overlap."""
    whole = source.encode()
    for part in sorted(parts, key=lambda each: each.start, reverse=True):
        whole = whole[: part.start] + part.instead.encode() + whole[part.end :]
    return whole.decode()


def undefined(source: str) -> frozenset[str]:
    """Return names that a script reads and nowhere binds: a run would only say that they are not defined."""
    tree = parsed_tree(source)
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name):
                bound.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound |= {alias.asname or alias.name.split(".")[0] for alias in names}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
    return frozenset() if "*" in bound else frozenset(read - bound - ALWAYS_THERE)


def without_comments(source: str) -> str:
    """Return a script without comments and empty lines; a block of requirements stays."""
    if METADATA in source:
        return source
    dropped: dict[int, int] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                dropped[token.start[0]] = token.start[1]
        inside = _lines_in_texts(source)
    except (tokenize.TokenError, SyntaxError):
        return source
    lines = [
        line[: dropped[number]].rstrip() if number in dropped else line.rstrip("\n")
        for number, line in enumerate(source.split("\n"), start=1)
    ]
    kept = [line for number, line in enumerate(lines, start=1) if line.strip() or number in inside]
    return "\n".join(kept) + "\n"


def _lines_in_texts(source: str) -> frozenset[int]:
    """Return the lines inside of texts that go over several lines."""
    tree = parsed_tree(source)
    return frozenset(
        line
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.Constant | ast.JoinedStr) and (node.end_lineno or 0) > node.lineno
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    )

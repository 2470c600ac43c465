"""Changes of a script's text that leave everything else of it as it is written."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Sequence

from service.catalog.interfaces import parsed_tree
from service.causes.names_used import imports_of, names_used


def edit_diff(before: str, after: str, name: str = "script.py") -> str:
    """Return the difference of two scripts as a edit_diff diff."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", n=1))


def replaced(source: str, changes: Iterable[tuple[ast.AST, str]]) -> str:
    """Return a script with the texts of nodes replaced; columns of a syntax tree count bytes."""
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    whole = b"".join(lines)
    spans = [
        (starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset, text)  # type: ignore[attr-defined]
        for node, text in changes
    ]
    for start, end, text in sorted(spans, reverse=True):
        whole = whole[:start] + text.encode() + whole[end:]
    return whole.decode()


def text_of(source: str, node: ast.AST) -> str:
    return ast.get_source_segment(source, node) or ast.unparse(node)


def with_line(source: str, line: str) -> str:
    """Return a script with a line after its last import at the top."""
    tree = parsed_tree(source)
    body = tree.body if tree is not None else []
    imports = [each.end_lineno or 0 for each in body if isinstance(each, ast.Import | ast.ImportFrom)]
    lines = source.splitlines(keepends=True)
    at = max(imports, default=0)
    return "".join([*lines[:at], f"{line}\n", *lines[at:]])


def alias_of(source: str, module: str) -> str | None:
    """Return the name by which a script calls a module, such as `tf`."""
    tree = parsed_tree(source)
    found = {whole: name for name, whole in imports_of(tree).items()} if tree is not None else {}
    return found.get(module)


def written(source: str, name: str) -> str | None:
    """Return how a script would write a whole name with the modules that it imports; None if it imports none of it."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        alias = alias_of(source, ".".join(parts[:end]))
        if alias is not None:
            return ".".join([alias, *parts[end:]])
    return None


def renamed(source: str, name: str, new: str) -> str:
    """Return a script that uses another name wherever it uses one; what cannot be written is imported."""
    changes: list[tuple[ast.AST, str]] = []
    needed = ""
    for use in names_used(source):
        if use.receiver is not None or (use.name != name and not use.name.startswith(f"{name}.")):
            continue
        rest = use.name.removeprefix(name)
        if isinstance(use.node, ast.ImportFrom | ast.Import):
            changes += _imports_renamed(use.node, name, new, rest)
        elif not rest or isinstance(use.node, ast.Attribute):
            if isinstance(use.node, ast.Name):
                continue  # its import is renamed, under the name that it has
            shown_name = written(source, new)
            if shown_name is None:
                needed, shown_name = new.split(".", maxsplit=1)[0], new
            changes.append((use.node, f"{shown_name}{rest}"))
    edited = replaced(source, _once(changes))
    return with_line(edited, f"import {needed}") if needed else edited


def _once(changes: Sequence[tuple[ast.AST, str]]) -> list[tuple[ast.AST, str]]:
    return list({id(node): (node, text) for node, text in changes}.values())


def _imports_renamed(node: ast.Import | ast.ImportFrom, name: str, new: str, rest: str) -> list[tuple[ast.AST, str]]:
    if isinstance(node, ast.Import):
        if rest or len(node.names) > 1:
            return []
        alias = node.names[0].asname or name.split(".", maxsplit=1)[0]
        return [(node, f"import {new} as {alias}")]
    if rest:
        return []
    wanted = [alias for alias in node.names if f"{node.module}.{alias.name}" == name]
    others = [alias for alias in node.names if alias not in wanted]
    module, _, leaf = new.rpartition(".")
    bound = wanted[0].asname or wanted[0].name
    lines = [f"from {module} import {leaf}" + (f" as {bound}" if bound != leaf else "")]
    if others:
        kept = ", ".join(alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in others)
        lines.insert(0, f"from {node.module} import {kept}")
    return [(node, f"\n{' ' * node.col_offset}".join(lines))]


def without_argument(source: str, call: ast.Call, keyword: ast.keyword) -> str:
    """Return a script without one keyword of a call."""
    kept = [text_of(source, each) for each in (*call.args, *call.keywords) if each is not keyword]
    return replaced(source, [(call, f"{text_of(source, call.func)}({', '.join(kept)})")])

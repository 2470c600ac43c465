"""Which public names a script uses, and where: aliases of imports and what variables were made by are followed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.catalog.interfaces import dotted_name, parsed_tree


@dataclass(frozen=True)
class Use:
    """One use of a dotted name in a script."""

    name: str
    """The whole name, such as `tensorflow.keras.optimizers.SGD`."""
    node: ast.expr | ast.stmt
    """The expression that names it, or the statement that imports it."""
    call: ast.Call | None = None
    receiver: ast.expr | None = None
    """Of a method: what it is called on."""

    @property
    def line(self) -> int:
        return self.node.lineno

    @property
    def leaf(self) -> str:
        return self.name.rpartition(".")[2]


def names_used(source: str) -> list[Use]:
    """Return all uses of imported names, in the order of the script; none where it cannot be parsed."""
    tree = parsed_tree(source)
    return [] if tree is None else list(_uses(tree))


def uses_at(source: str, line: int | None) -> list[Use]:
    """Return the uses in the statement that holds a line; all of them where no line is known."""
    found = names_used(source)
    tree = parsed_tree(source)
    if line is None or tree is None:
        return found
    first, last = statement_at(tree, line)
    inside = [use for use in found if first <= use.line <= last]
    exact = [use for use in inside if use.line <= line <= (use.node.end_lineno or use.line)]
    # The line of a traceback is exact from Python 3.8 on; older ones name the last line of a statement.
    return exact + [use for use in inside if use not in exact]


def statement_at(tree: ast.Module, line: int) -> tuple[int, int]:
    """Return the first and last line of the innermost simple statement, or of the head of a compound one."""
    best = (line, line)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            inner = getattr(node, "body", None)
            last = inner[0].lineno - 1 if isinstance(inner, list) and inner else node.end_lineno or node.lineno
            if node.lineno <= line <= max(last, node.lineno):
                best = (node.lineno, max(last, node.lineno))
    return best


def imports_of(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _uses(tree: ast.Module) -> Iterator[Use]:
    aliases = imports_of(tree)
    made = _made_by(tree, aliases)
    called = {id(each.func): each for each in ast.walk(tree) if isinstance(each, ast.Call)}
    inner = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Attribute)}
    found: list[Use] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Use(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [Use(f"{node.module}.{alias.name}", node) for alias in node.names]
        elif isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
            use = _use(node, aliases, made, called.get(id(node)))
            if use is not None:
                found.append(use)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call) and id(node) in inner:
            continue
    yield from sorted(found, key=lambda use: (use.node.lineno, use.node.col_offset))


def _use(
    node: ast.Attribute | ast.Name, aliases: Mapping[str, str], made: Mapping[str, str], call: ast.Call | None
) -> Use | None:
    dotted = dotted_name(node)
    if not dotted:
        # `tf.keras.Sequential(...).fit(...)`: a method of what a call made.
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
            maker = dotted_name(node.value.func)
            first, _, rest = maker.partition(".")
            if first in aliases:
                return Use(f"{_joined(aliases[first], rest)}.{node.attr}", node, call, node.value)
        return None
    first, _, rest = dotted.partition(".")
    if first in aliases:
        return (
            Use(_joined(aliases[first], rest), node, call) if isinstance(getattr(node, "ctx", None), ast.Load) else None
        )
    if rest and isinstance(node, ast.Attribute) and dotted.rpartition(".")[0] in made:
        return Use(f"{made[dotted.rpartition('.')[0]]}.{node.attr}", node, call, node.value)
    return None


def _joined(first: str, rest: str) -> str:
    return f"{first}.{rest}" if rest else first


def _made_by(tree: ast.Module, aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the callable whose call each variable holds."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.With):
            for item in node.items:
                if isinstance(item.context_expr, ast.Call) and item.optional_vars is not None:
                    targets, value = [item.optional_vars], item.context_expr
        for target in targets:
            first, _, rest = dotted_name(value.func).partition(".")
            if isinstance(target, ast.Name) and first in aliases:
                found[target.id] = _joined(aliases[first], rest)
    return found

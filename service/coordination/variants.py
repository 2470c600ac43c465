"""Variants of a request, which run beside the snippet on the same releases and say what the outcome hangs on."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from service.catalog.snippets import syntax_tree
from service.errors import SnippetError, UnknownName

VARIANTS: Mapping[str, str] = MappingProxyType(
    {
        "input-shape": "the first layer gets the input shape",
        "eager": "eager execution from the start",
        "graph": "graph execution, eager switched off",
        "seed": "every random number seeded",
    }
)
# Shapes of the samples of keras.datasets, which a first layer sees where the script does not reshape them.
KNOWN_SHAPES = {"mnist": (28, 28), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3), "cifar100": (32, 32, 3)}
SHAPE_KEYWORDS = frozenset({"input_shape", "batch_input_shape", "input_dim"})


def apply(name: str, snippet: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the snippet and the parameters of a variant.

    Raises:
        UnknownName: no such variant.
        SnippetError: the variant has nothing to change in this snippet.
    """
    match name:
        case "input-shape":
            return with_input_shape(snippet, parameters.get("input_shape")), dict(parameters)
        case "eager" | "graph":
            return snippet, {**parameters, "execution": name}
        case "seed":
            return snippet, {**parameters, "seed": parameters.get("seed") or 1}
    raise UnknownName(f"there is no variant {name!r}; choose one of: {', '.join(VARIANTS)}", field="variants")


def cure_in_words(name: str) -> str:
    """Return what to do about it when a variant removes every wrong segment."""
    return {
        "input-shape": "give the first layer an input_shape; the bug is in models that fit builds",
        "eager": "switch eager execution on; the bug is in graph execution",
        "graph": "switch eager execution off; the bug is in eager execution",
        "seed": "seed the random numbers; the outcome depends on them",
    }[name]


def with_input_shape(source: str, shape: object) -> str:
    """Return the source with the input shape given to the first layer of its Sequential model.

    Args:
        source: the snippet.
        shape: a list of sizes, or nothing where the script's data set says it.
    """
    tree = syntax_tree(source)
    layer = first_layer(tree)
    if layer is None:
        raise SnippetError("the variant input-shape needs a Sequential model whose first layer is written out")
    if any(keyword.arg in SHAPE_KEYWORDS for keyword in layer.keywords):
        raise SnippetError("the first layer already has an input shape", line=layer.lineno)
    sizes = tuple(int(size) for size in shape) if isinstance(shape, list | tuple) and shape else known_shape(tree)
    if sizes is None:
        raise SnippetError("the input shape is unknown; add it with --input-shape 28,28", field="input_shape")
    return inserted(source, layer, f"input_shape={sizes!r}")


def first_layer(tree: ast.Module) -> ast.Call | None:
    """Return the call that makes the first layer: in Sequential([...]), or of the first add(...)."""
    calls = sorted((n for n in ast.walk(tree) if isinstance(n, ast.Call)), key=lambda n: (n.lineno, n.col_offset))
    for call in calls:
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "layers"), None)
        if called == "Sequential" and isinstance(given, ast.List | ast.Tuple) and given.elts:
            given = given.elts[0]
        elif called != "add":
            continue
        if isinstance(given, ast.Call):
            return given
    return None


def known_shape(tree: ast.Module) -> tuple[int, ...] | None:
    """Return the shape of the samples of the data set that a script names."""
    for node in ast.walk(tree):
        for name in (getattr(node, "attr", None), getattr(node, "id", None), getattr(node, "name", None)):
            if name in KNOWN_SHAPES:
                return KNOWN_SHAPES[name]
    return None


def inserted(source: str, call: ast.Call, keyword: str) -> str:
    """Return the source with one more keyword at the end of a call; no line moves."""
    lines = source.splitlines(keepends=True)
    row = (call.end_lineno or call.lineno) - 1
    line = lines[row].encode()
    end = (call.end_col_offset or 1) - 1
    before = b"".join(part.encode() for part in lines[:row]) + line[:end]
    empty = not call.args and not call.keywords
    comma = "" if empty or before.rstrip().endswith(b",") else ", "
    lines[row] = (line[:end] + f"{comma}{keyword}".encode() + line[end:]).decode()
    return "".join(lines)

"""What a snippet shows without a run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from service.errors import BadInput, SnippetError
from service.syntax import syntax_tree_of

LARGEST_BYTES = 64 * 1024
# A torch script trains by `backward`.
TRAINING_CALLS = frozenset({"fit", "fit_generator", "train_on_batch", "backward"})
MODEL_NAMES = frozenset({"model", "build_model"})
DROPPING = ("dropout", "gaussiannoise")
# Their dropout layers do not show in the source.
OPAQUE = frozenset({"applications", "load_model", "model_from_json", "model_from_yaml", "from_config", "clone_model"})


def read_source(path: Path) -> str:
    """Return the text of a snippet's file.

    Raises:
        BadInput: the file is not there, is a folder, or is not UTF-8 text.
    """
    try:
        return decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}; name a Python file.", field="snippet") from None


def decoded(raw: bytes, name: str) -> str:
    """Return a snippet's text; a byte order mark is left out.

    Raises:
        BadInput: it is not UTF-8 text.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{error.reason} at byte {error.start}"
        raise BadInput(f"{name} is not UTF-8 text ({where}); save it as UTF-8.", field="snippet") from None


def syntax_tree(source: str) -> ast.Module:
    """Return a snippet's syntax tree.

    Raises:
        SnippetError: empty, larger than 64 KiB, or no Python, with the line.
    """
    if not source.strip():
        raise SnippetError("the snippet is empty; paste a model definition or a training script", field="snippet")
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > LARGEST_BYTES:
        raise SnippetError(f"the snippet has {size} bytes, more than {LARGEST_BYTES}; shorten it", field="snippet")
    try:
        return syntax_tree_of(source)
    except SyntaxError as error:
        line = (error.text or "").strip()
        hint = "; leave out the notebook's own commands" if line.startswith(("%", "!")) else ""
        raise SnippetError(
            f"line {error.lineno} is not Python ({error.msg}): {line[:80]}{hint}", field="snippet", line=error.lineno
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SnippetError(f"the snippet is not Python: {error}", field="snippet") from None


def require_model(tree: ast.Module) -> None:
    """Refuse a snippet that neither trains nor defines a model.

    Raises:
        SnippetError: no `model`, no `build_model()` and no call of `fit`.
    """
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    if not (called & TRAINING_CALLS or MODEL_NAMES & set(names(tree))):
        raise SnippetError(
            "no model found; end with a Keras model in `model`, define build_model(), or paste a script that calls fit",
            field="snippet",
        )


def require_dropout(tree: ast.Module) -> None:
    """Refuse a snippet in which nothing looks like a dropout layer.

    Raises:
        SnippetError: no name has "dropout" or "GaussianNoise" in it, and no model comes from elsewhere.
    """
    found = set(names(tree))
    if found & OPAQUE or any(word in name.lower() for name in found for word in DROPPING):
        return
    raise SnippetError(
        "no dropout layer found in the snippet, and this probe needs one; list other probes with: tfbisect probes",
        field="snippet",
    )


def require_keras_package(source: str) -> None:
    """Refuse a snippet that does not use the package keras where its releases are compared: tf.keras is TensorFlow's.

    Raises:
        SnippetError: no `import keras` and no `from keras import …`.
    """
    for node in ast.walk(syntax_tree(source)):
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            imported = [node.module or ""]
        if any(name.split(".")[0] == "keras" for name in imported):
            return
    raise SnippetError(
        "--package keras compares releases of keras, but the snippet does not import it; write `import keras` "
        "and use it instead of tf.keras, or use --package tensorflow.",
        field="snippet",
    )


def names(tree: ast.Module) -> Iterator[str]:
    """Yield every name, attribute, keyword and imported name of a snippet, and its short texts."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case ast.alias(name=name):
                yield from name.split(".")
            case ast.Constant(value=str(text)) if len(text) < 200:
                yield text

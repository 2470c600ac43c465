"""Small edits of a script that may make it run in both releases; which of them does is for runs to say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from service.catalog.interfaces import PublicDefinition, Signature, SignatureParameter, dotted_name, parsed_tree
from service.catalog.upgrade_tables import UpgradeTables
from service.causes.errors import ErrorCause, ErrorSide, Raised, as_written
from service.causes.names_used import Use, names_used
from service.causes.rewriting import alias_of, renamed, replaced, text_of, with_line, without_argument, written

MOVED_IN_PYTHON = {
    "time.clock": "time.perf_counter",
    "fractions.gcd": "math.gcd",
    "inspect.getargspec": "inspect.getfullargspec",
    "imp.reload": "importlib.reload",
    "cgi.escape": "html.escape",
    "platform.linux_distribution": "platform.platform",
    "math.prod": "numpy.prod",
    "functools.cache": "functools.lru_cache(maxsize=None)",
}
"""Names of the standard library with another that earlier and later Pythons have alike."""
ABSTRACT = re.compile(r"collections\.(Mapping|MutableMapping|Sequence|Iterable|Iterator|Callable|Set|Hashable|Sized)$")
CODE = re.compile(r"`([^`]+)`")
INSTEAD = re.compile(
    r"[Uu]se `?((?:tf|np|numpy|Model|model)?\.?[A-Za-z_][\w.]*)`? (?:instead|by itself)|[Uu]se `([\w.]+)`"
)
SUFFIX = re.compile(r"(?:must end in|extension[^`]*?(?:a|either)) `(\.[\w.]+)`")
EAGER = re.compile(r"[Ee]ager|Session graph is empty|not compatible with|symbolic|placeholder", re.IGNORECASE)
MUST_HAVE_SHAPE = re.compile(r"input_shape|batch_input_shape|not (?:yet )?been built|has never been called|input shape")
MOST_NAMES = 5
FIRST_WITH_EAGER = 2


@dataclass(frozen=True)
class Edit:
    """A script that was changed in one respect."""

    title: str
    source: str


def edits_for(
    cause: ErrorCause, raised: Raised, source: str, works: ErrorSide, raises: ErrorSide, tables: UpgradeTables
) -> list[Edit]:
    """Return edits that may help, the most likely first; each leaves a script that can be parsed and is another.

    Args:
        cause: what stands behind the error.
        raised: the error.
        source: the script.
        works: the release in which the script runs.
        raises: the one in which it raises.
        tables: what the framework's upgrade script knows.
    """
    sides = (works, raises)
    found: Iterator[Edit] = iter(())
    match cause.kind:
        case "parameter":
            found = _of_parameter(cause, source, works, raises, tables)
        case "api-gone" | "import-path":
            found = _of_name(cause, source, sides, tables)
        case "third-party-library" | "python-version":
            found = _of_library(cause, raised, source, sides)
        case "usage-constraint" | "unknown":
            found = _of_constraint(cause, raised, source)
    kept: dict[str, Edit] = {}
    for edit in found:
        if edit.source != source and parsed_tree(edit.source) is not None:
            kept.setdefault(edit.source, edit)
    return list(kept.values())


# ------------------------------------------------------------------ parameters


def _of_parameter(
    cause: ErrorCause, source: str, works: ErrorSide, raises: ErrorSide, tables: UpgradeTables
) -> Iterator[Edit]:
    use = cause.use
    if use is None or use.call is None or not cause.parameter:
        return
    call, name = use.call, cause.parameter
    keyword = next((each for each in call.keywords if each.arg == name), None)
    if keyword is None:
        yield from _given(cause, call, source)
        return
    for other in new_names(cause, tables)[:MOST_NAMES]:
        if any(each.arg == other for each in call.keywords):
            continue
        value = text_of(source, keyword.value)
        yield Edit(f"`{name}` is `{other}`", replaced(source, [(keyword, f"{other}={value}")]))
    yield from _by_place(cause, call, keyword, source)
    yield from _renamings(cause, source, _that_take_it(cause, (works, raises), tables))
    yield Edit(f"without `{name}`", without_argument(source, call, keyword))


def new_names(cause: ErrorCause, tables: UpgradeTables) -> list[str]:
    """Return what a parameter may be called where the script raises, the surest first."""
    before, after = _signatures(cause)
    name = cause.parameter
    found: list[str] = []
    for signature in (before, after):
        found += [new for old, new in (signature.aliases if signature else ()) if old == name]
        found += [old for old, new in (signature.aliases if signature else ()) if new == name]
    told = tables.keywords.get(cause.name, {}).get(name)
    found += [told] if told else []
    if before and after:
        place = before.place(name)
        positional = after.positional
        if place is not None and place < len(positional):
            found.append(positional[place].name)
        found += [each.name for each in after.parameters if is_alike(name, each.name)]
    return [
        other for other in dict.fromkeys(found) if other != name and (after is None or after.takes(other) is not False)
    ]


def _signatures(cause: ErrorCause) -> tuple[Signature | None, Signature | None]:
    before, after = cause.before, cause.after
    return before.signature if before else None, after.signature if after else None


def is_alike(one: str, other: str) -> bool:
    """Say whether parameters are one name in two spellings: `keep_dims` and `keepdims`, `lr` and `learning_rate`."""
    plain = [name.replace("_", "").lower() for name in (one, other)]
    initials = ["".join(part[:1] for part in name.split("_")) for name in (one, other)]
    return plain[0] == plain[1] or plain[0] == initials[1] or plain[1] == initials[0]


def _by_place(cause: ErrorCause, call: ast.Call, keyword: ast.keyword, source: str) -> Iterator[Edit]:
    """Yield the argument given by its place, where it has the same one in both releases."""
    before, after = _signatures(cause)
    place = before.place(cause.parameter) if before else None
    if place is None or place != len(call.args) or after is None or len(after.positional) <= place:
        return
    value = text_of(source, keyword.value)
    shorter = without_argument(source, call, keyword)
    tree = parsed_tree(shorter)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and (node.lineno, node.col_offset) == (call.lineno, call.col_offset):
            given = [text_of(shorter, each) for each in node.args]
            kept = [text_of(shorter, each) for each in node.keywords]
            new = f"{text_of(shorter, node.func)}({', '.join([*given, value, *kept])})"
            yield Edit(f"`{cause.parameter}` by its place", replaced(shorter, [(node, new)]))
            return


def _given(cause: ErrorCause, call: ast.Call, source: str) -> Iterator[Edit]:
    """Yield what a release must be told that the other one has a default for."""
    before, _ = _signatures(cause)
    default = (
        next((each.default for each in before.parameters if each.name == cause.parameter), None) if before else None
    )
    if default is not None:
        end = ast.get_source_segment(source, call) or ""
        comma = ", " if call.args or call.keywords else ""
        text = f"{end[:-1].rstrip().rstrip(',')}{comma}{cause.parameter}={default})"
        yield Edit(f"`{cause.parameter}` given", replaced(source, [(call, text)]))


# ------------------------------------------------------------------ names


def _of_name(
    cause: ErrorCause, source: str, sides: tuple[ErrorSide, ErrorSide], tables: UpgradeTables
) -> Iterator[Edit]:
    works, raises = sides
    others = _other_names(cause, sides, tables)
    present = [path for path in others if not is_compatibility(path)]
    yield from _renamings(cause, source, present)
    yield from _inlined(cause, source, sides)
    yield from _advised(cause, source)
    yield from _renamings(cause, source, [path for path in others if path not in present])
    for path in [path for path in cause.moved_to if works.interface.resolve(path) is None][:2]:
        yield from _guarded(cause, source, path)
    if major(works.release) < FIRST_WITH_EAGER <= major(raises.release):
        yield from _compatible(source)


def is_compatibility(path: str) -> bool:
    """Say whether a name is one of those that a release keeps only for scripts of another one."""
    return ".compat.v" in path


def major(release: str) -> int:
    return int(found[0]) if (found := re.match(r"\d+", release)) else 0


def _other_names(cause: ErrorCause, sides: tuple[ErrorSide, ErrorSide], tables: UpgradeTables) -> list[str]:
    """Return other names of what a script uses, those first that both releases have."""
    listed = [tables.names.get(cause.name, ""), *cause.moved_to, *(cause.before.exports if cause.before else ())]
    if cause.name.startswith("tensorflow.") and not is_compatibility(cause.name):
        listed.append(f"tensorflow.compat.v1.{cause.name.removeprefix('tensorflow.')}")
    there = [path for path in dict.fromkeys(listed) if path and path != cause.name and ".compat.v2." not in path]
    in_raises = [path for path in there if sides[1].interface.resolve(path) is not None]
    in_both = [path for path in in_raises if sides[0].interface.resolve(path) is not None]
    return [*in_both, *(path for path in in_raises if path not in in_both)][:MOST_NAMES]


def _renamings(cause: ErrorCause, source: str, paths: Iterable[str]) -> Iterator[Edit]:
    for path in paths:
        yield Edit(f"`{as_written(cause.name)}` is `{as_written(path)}`", renamed(source, cause.name, path))


def _that_take_it(cause: ErrorCause, sides: tuple[ErrorSide, ErrorSide], tables: UpgradeTables) -> list[str]:
    """Return other names of a function under which it still takes the parameter."""
    found = ((path, sides[1].interface.resolve(path)) for path in _other_names(cause, sides, tables))
    return [
        path for path, each in found if each and each.signature and each.signature.takes(cause.parameter) is not False
    ]


def _inlined(cause: ErrorCause, source: str, sides: tuple[ErrorSide, ErrorSide]) -> Iterator[Edit]:
    """Yield a call replaced by what the function that is gone did, where that was one other call."""
    before, use = cause.before, cause.use
    if before is None or use is None or use.call is None or not before.body or before.signature is None:
        return
    given = dict(zip([each.name for each in before.signature.positional], use.call.args, strict=False))
    given |= {each.arg: each.value for each in use.call.keywords if each.arg}
    text = Inlining(before, use.call, given, source, sides).text()
    if text is not None:
        yield Edit(f"what `{as_written(cause.name)}` did", replaced(source, [(use.call, text)]))


@dataclass(frozen=True)
class Inlining:
    """A call of a wrapper in a script, and what the wrapper did."""

    wrapper: PublicDefinition
    call: ast.Call
    given: Mapping[str, ast.expr]
    """The call's arguments by parameter."""
    source: str
    sides: tuple[ErrorSide, ErrorSide]

    def text(self) -> str | None:
        """Return the inner call with the script's arguments and public names; None where that is not sure."""
        inner = ast.parse(self.wrapper.body, mode="eval").body
        if isinstance(inner, ast.Call) and self._hands_all_on(inner):
            return self._under_another_name(inner.func)
        if not isinstance(inner, ast.Call) or any(keyword.arg is None for keyword in inner.keywords):
            return None
        # A default of the wrapper's own, such as the name of an operation, is left to the function that it calls.
        keywords = [each for each in inner.keywords if not self._is_default(each.value)]
        told = [self._told(node) for node in (inner.func, *inner.args, *(each.value for each in keywords))]
        known = [text for text in told if text is not None]
        if len(known) < len(told):
            return None
        positional, named = known[1 : len(inner.args) + 1], known[len(inner.args) + 1 :]
        shown_keywords = [f"{each.arg}={text}" for each, text in zip(keywords, named, strict=True)]
        return f"{known[0]}({', '.join([*positional, *shown_keywords])})"

    def _hands_all_on(self, inner: ast.Call) -> bool:
        """Say whether a wrapper hands on whatever it is given."""
        signature = self.wrapper.signature
        handed = ast.unparse(ast.Call(ast.Name("f"), inner.args, inner.keywords))
        return signature is not None and handed == f"f(*{signature.rest}, **{signature.keywords})"

    def _under_another_name(self, function: ast.expr) -> str | None:
        name = self._told(function)
        opening = text_of(self.source, self.call.func)
        return f"{name}{text_of(self.source, self.call).removeprefix(opening)}" if name else None

    @property
    def _parameters(self) -> Mapping[str, SignatureParameter]:
        signature = self.wrapper.signature
        return {each.name: each for each in signature.parameters} if signature else {}

    def _is_default(self, node: ast.expr) -> bool:
        name = dotted_name(node)
        return name in self._parameters and name not in self.given

    def _told(self, node: ast.expr) -> str | None:
        """Return how the script would write a part of the wrapper's body."""
        if isinstance(node, ast.Constant):
            return repr(node.value)
        name = dotted_name(node)
        if name in self.given:
            return text_of(self.source, self.given[name])
        if name in self._parameters:
            return self._parameters[name].default
        whole = public_name(name, self.wrapper, self.sides) if name else None
        return written(self.source, whole) if whole else None


def public_name(name: str, beside: PublicDefinition, sides: tuple[ErrorSide, ErrorSide]) -> str | None:
    """Return a public name, in both releases, of what a name stands for in the module of a definition."""
    works, raises = (side.interface for side in sides)
    inner = works.resolve(f"{beside.module}.{name}")
    if inner is None:
        return None
    leaf = name.rpartition(".")[2]
    namespace = beside.public.rpartition(".")[0]
    for path in (f"{namespace}.{leaf}", *works.public_paths(leaf), *inner.exports):
        found = works.resolve(path)
        if found is not None and found.place == inner.place and raises.resolve(path) is not None:
            return path
    return None


def _advised(cause: ErrorCause, source: str) -> Iterator[Edit]:
    """Yield what the deprecation of a name says to write."""
    use = cause.use
    if use is None or not cause.advice:
        return
    for code in CODE.findall(cause.advice):
        text = _filled(code, use, source)
        if text is not None and use.call is not None:
            needs = "numpy" if text.startswith("np.") and alias_of(source, "numpy") != "np" else ""
            edited = replaced(source, [(use.call, text)])
            yield Edit(f"`{code}`", with_line(edited, "import numpy as np") if needs else edited)
    for found in re.finditer(r"[Uu]se `?[Mm]odel\.(\w+)", cause.advice):
        if use.receiver is not None and found[1] != use.leaf:
            text = f"{text_of(source, use.receiver)}.{found[1]}"
            yield Edit(f"`{use.leaf}` is `{found[1]}`", replaced(source, [(use.node, text)]))


def _filled(code: str, use: Use, source: str) -> str | None:
    """Return a piece of code from an advice with the script's own model and input in it."""
    tree = parsed_tree(code)
    if tree is None or use.call is None or use.receiver is None or not use.call.args or len(tree.body) != 1:
        return None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not {"model", "x"} <= names or not isinstance(tree.body[0], ast.Expr):
        return None
    given = {"model": text_of(source, use.receiver), "x": text_of(source, use.call.args[0])}
    changes = [(node, given[node.id]) for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in given]
    return replaced(code, changes)


def _guarded(cause: ErrorCause, source: str, path: str) -> Iterator[Edit]:
    """Yield an import that is tried under its new name first, for releases that have only one of both."""
    module, _, leaf = path.rpartition(".")
    old_module, _, old = cause.name.rpartition(".")
    for use in names_used(source):
        if use.name != cause.name:
            continue
        if isinstance(use.node, ast.ImportFrom) and len(use.node.names) == 1:
            bound = use.node.names[0].asname or old
            first = f"from {module} import {leaf}" + (f" as {bound}" if bound != leaf else "")
            margin = " " * use.node.col_offset
            text = f"try:\n{margin}    {first}\n{margin}except ImportError:\n{margin}    {text_of(source, use.node)}"
            yield Edit(f"`{as_written(path)}`, else `{as_written(cause.name)}`", replaced(source, [(use.node, text)]))
            return
    if alias_of(source, "tensorflow"):
        text = (
            f"try:\n    from {module} import {leaf}\nexcept ImportError:\n    from {old_module} import {old} as {leaf}"
        )
        changes = [
            (use.node, leaf)
            for use in names_used(source)
            if use.name == cause.name and isinstance(use.node, ast.Attribute)
        ]
        edited = with_line(replaced(source, changes), text) if changes else source
        yield Edit(f"`{as_written(path)}`, else `{as_written(cause.name)}`", edited)


def _compatible(source: str) -> Iterator[Edit]:
    """Yield the script on the API of 1.x that later releases carry along."""
    for use in names_used(source):
        if isinstance(use.node, ast.Import) and use.name == "tensorflow" and len(use.node.names) == 1:
            alias = use.node.names[0].asname or "tensorflow"
            margin = " " * use.node.col_offset
            for extra, title in (("", ""), (f"\n{margin}{alias}.disable_v2_behavior()", " and its behaviour")):
                text = f"import tensorflow.compat.v1 as {alias}{extra}"
                yield Edit(f"the API of 1.x{title}", replaced(source, [(use.node, text)]))
            return


# ------------------------------------------------------------------ libraries and Python


def _of_library(cause: ErrorCause, raised: Raised, source: str, sides: tuple[ErrorSide, ErrorSide]) -> Iterator[Edit]:
    yield from _inlined(cause, source, sides)
    name = cause.name
    others = [MOVED_IN_PYTHON[name]] if name in MOVED_IN_PYTHON else []
    if found := ABSTRACT.match(name):
        others.append(f"collections.abc.{found[1]}")
    top = name.split(".")[0]
    for text in (raised.message, cause.advice):
        for found in INSTEAD.finditer(text):
            told = (found[1] or found[2]).removeprefix("np.").removeprefix("numpy.")
            inside = f"{top}.{told}" if "." not in told else told
            builtin = told in {"bool", "int", "float", "complex", "object", "str"} and "by itself" in found[0]
            others.append(told if builtin else inside)
    for other in dict.fromkeys(others):
        if other != name:
            yield Edit(f"`{name}` is `{other}`", _with_name(source, name, other))


def _with_name(source: str, name: str, other: str) -> str:
    if "." in other and "(" not in other:
        return renamed(source, name, other)
    changes: list[tuple[ast.AST, str]] = [
        (use.node, other) for use in names_used(source) if use.name == name and isinstance(use.node, ast.Attribute)
    ]
    return replaced(source, changes)


# ------------------------------------------------------------------ constraints


def _of_constraint(cause: ErrorCause, raised: Raised, source: str) -> Iterator[Edit]:
    message = raised.message
    if found := SUFFIX.search(message):
        yield from _other_suffix(source, cause.use, raised.line, found[1])
    if MUST_HAVE_SHAPE.search(message):
        yield from _with_input_shape(source)
    if EAGER.search(message):
        alias = alias_of(source, "tensorflow") or "tf"
        needs = "" if alias_of(source, "tensorflow") else "import tensorflow as tf\n"
        yield Edit("without eager execution", with_line(source, f"{needs}{alias}.compat.v1.disable_eager_execution()"))
        yield Edit("with the behaviour of 1.x", with_line(source, f"{needs}{alias}.compat.v1.disable_v2_behavior()"))


def _other_suffix(source: str, use: Use | None, line: int | None, suffix: str) -> Iterator[Edit]:
    """Yield the script with another ending of a file's name, wherever the script has that name."""
    tree = parsed_tree(source)
    lines = {line} | ({use.line} if use else set())
    texts = [(node, node.value) for node in ast.walk(tree or ast.Module([], [])) if isinstance(node, ast.Constant)]
    named = [(node, value) for node, value in texts if isinstance(value, str)]
    near = [value for node, value in named if node.lineno in lines]
    paths = [value for _, value in named if re.fullmatch(r"[\w./-]*[./][\w./-]*", value)]
    for value in dict.fromkeys([*near, *paths]):
        stem, slash, leaf = value.rpartition("/")
        new = f"{stem}{slash}{leaf.partition('.')[0] or leaf}{suffix}"
        same: list[tuple[ast.AST, str]] = [(node, repr(new)) for node, each in named if each == value]
        yield Edit(f"a file that ends in `{suffix}`", replaced(source, same))


DATA_CALLS = ("fit", "train_on_batch", "predict", "evaluate")


def _with_input_shape(source: str) -> Iterator[Edit]:
    """Yield the script with the shape of its data at the first layer."""
    tree = parsed_tree(source)
    if tree is None:
        return
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    fed = [
        call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in DATA_CALLS and call.args
    ]
    first = first_layer_call(tree)
    if (
        first is None
        or not fed
        or any(each.arg in ("input_shape", "batch_input_shape", "input_dim") for each in first.keywords)
    ):
        return
    data = text_of(source, fed[0].args[0])
    given, text = f"input_shape={data}.shape[1:]", text_of(source, first)
    comma = ", " if first.args or first.keywords else ""
    whole = f"{text[:-1].rstrip().rstrip(',')}{comma}{given})"
    yield Edit(f"`{given}` at the first layer", replaced(source, [(first, whole)]))


def first_layer_call(tree: ast.Module) -> ast.Call | None:
    """Return the call that makes the first layer of a Sequential model."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted_name(node.func).endswith("Sequential"):
            if node.args and isinstance(node.args[0], ast.List | ast.Tuple) and node.args[0].elts:
                layer = node.args[0].elts[0]
                return layer if isinstance(layer, ast.Call) else None
            added = [
                call
                for call in ast.walk(tree)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add"
            ]
            added.sort(key=lambda call: call.lineno)
            if added and added[0].args and isinstance(added[0].args[0], ast.Call):
                return added[0].args[0]
    return None

"""Names and signatures of a release, read from the sources of its wheels: nothing is imported or run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Kind = Literal["module", "class", "function", "value"]

DEEPEST = 40
"""Imports that are followed from a public name to its definition."""
API_MODULES = re.compile(r"(^|\.)(_api|api|_tf_keras)\.")
DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef)
ONE_ROOT = {"tensorflow_core": "tensorflow"}
"""Top-level folders that are imported by another name: 1.15 to 2.1 are laid out so."""
KERAS_OF_1 = ("tensorflow._api.v1.keras", "tensorflow.python.keras.api._v1.keras")
KERAS_OF_2 = (
    "keras._tf_keras.keras",
    "keras.api._v2.keras",
    "tensorflow._api.v2.keras",
    "tensorflow.python.keras.api._v2.keras",
)
KERAS_NAMES = frozenset({"losses", "metrics", "optimizers", "initializers"})
"""What `tensorflow` takes from Keras since 2.0, by code that runs at the import."""


@dataclass(frozen=True)
class SignatureParameter:
    """A parameter of a function."""

    name: str
    default: str | None = None
    """Its text; None: it must be given."""
    keyword_only: bool = False


@dataclass(frozen=True)
class Signature:
    """What a function takes; the instance of a method is left out."""

    parameters: tuple[SignatureParameter, ...]
    rest: str = ""
    """The name that takes further positional arguments; "": none."""
    keywords: str = ""
    """The name that takes further keywords; "": none."""
    aliases: tuple[tuple[str, str], ...] = ()
    """Older names of parameters that the body still takes: (older, as it is)."""
    accepted: frozenset[str] = frozenset()
    """Keywords that the body takes besides."""

    def takes(self, keyword: str) -> bool | None:
        """Say whether a keyword is taken; None where the body decides."""
        if any(keyword == each.name for each in self.parameters) or keyword in self.accepted:
            return True
        if any(keyword == old for old, _ in self.aliases):
            return True
        return None if self.keywords else False

    def place(self, name: str) -> int | None:
        """Return which positional argument a parameter is, 0-based; None if it is none."""
        names = [each.name for each in self.parameters if not each.keyword_only]
        return names.index(name) if name in names else None

    def __str__(self) -> str:
        shown = [each.name if each.default is None else f"{each.name}={each.default}" for each in self.positional]
        shown += [f"*{self.rest}"] if self.rest else ["*"] if self.only_keywords else []
        shown += [each.name if each.default is None else f"{each.name}={each.default}" for each in self.only_keywords]
        return f"({', '.join([*shown, f'**{self.keywords}'] if self.keywords else shown)})"

    @property
    def positional(self) -> list[SignatureParameter]:
        return [each for each in self.parameters if not each.keyword_only]

    @property
    def only_keywords(self) -> list[SignatureParameter]:
        return [each for each in self.parameters if each.keyword_only]


@dataclass(frozen=True)
class PublicDefinition:
    """What a public name stands for."""

    public: str
    """The name that was asked for, such as `tensorflow.nn.softmax`."""
    kind: Kind
    module: str
    name: str
    """Within its module, such as `Model.fit`; "" for a module."""
    file: str
    line: int
    signature: Signature | None = None
    advice: str = ""
    """What its deprecation says to do; "": it is not deprecated."""
    body: str = ""
    """The text of a function that only returns something: what it returns."""
    exports: tuple[str, ...] = ()
    """All public names that its source says it has."""

    @property
    def place(self) -> tuple[str, str]:
        """Return where it is defined, comparable between releases: Keras moved from `keras.engine` to `keras.src`."""
        module = re.sub(r"^(tensorflow\.python\.)?keras\.(src\.)?", "keras.", self.module)
        return module, self.name


@dataclass
class Module:
    """One file's top level."""

    name: str
    path: str
    tree: ast.Module
    bound: dict[str, ast.AST] = field(default_factory=dict)
    """Names that are defined or assigned."""
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name -> (module, name there); "" for the module itself."""
    stars: list[str] = field(default_factory=list)

    @property
    def is_package(self) -> bool:
        return self.path.endswith("/__init__.py")


class Interface:
    """The names of one release, with those of the packages that are part of it."""

    def __init__(self, sources: Sequence[Mapping[str, str]], major: int = 2) -> None:
        """Read nothing yet: modules are parsed when a name leads there.

        Args:
            sources: Python files by path, of each wheel; where two have the same path the first wins.
            major: of the framework's release; decides which of two APIs in one wheel is the usual one.
        """
        self._sources, self._major = sources, major
        self._modules: dict[str, Module | None] = {}

    @cached_property
    def _paths(self) -> Mapping[str, tuple[Mapping[str, str], str]]:
        """Return where the text of each module is."""
        found: dict[str, tuple[Mapping[str, str], str]] = {}
        for source in self._sources:
            shadowed = {ONE_ROOT[path.split("/")[0]] for path in source if path.split("/")[0] in ONE_ROOT}
            for path in source:
                if not path.endswith(".py") or path.split("/")[0] in shadowed:
                    continue
                top, slash, rest = path.partition("/")
                dotted = f"{ONE_ROOT.get(top, top)}{slash}{rest}".removesuffix(".py").removesuffix("/__init__")
                found.setdefault(dotted.replace("/", "."), (source, path))
        return found

    def has_module(self, name: str) -> bool:
        """Say whether a module or a folder of modules is there."""
        return name in self._paths or name in self._folders

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(
            ".".join(parts[:end]) for name in self._paths for parts in [name.split(".")] for end in range(1, len(parts))
        )

    def resolve(self, public: str) -> PublicDefinition | None:
        """Return what a dotted name stands for; None if the release has no such name."""
        for root in self._roots(public):
            found = self._walk(root.split("."), 0)
            if found is not None:
                return self._described(public, *found)
        return None

    def _roots(self, public: str) -> Iterator[str]:
        """Yield the names that a public name may be bound to, the usual one first."""
        parts = public.split(".")
        roots = KERAS_OF_2 if self._major >= 2 else KERAS_OF_1
        if parts[:2] == ["tensorflow", "keras"]:
            yield from (".".join([root, *parts[2:]]) for root in roots if self.has_module(root))
        elif parts[0] == "tensorflow" and self._major >= 2 and len(parts) > 1 and parts[1] in KERAS_NAMES:
            yield from (".".join([root, *parts[1:]]) for root in roots if self.has_module(root))
            return
        yield public

    def _walk(self, parts: Sequence[str], depth: int) -> tuple[Module, str] | None:
        """Return the module and the name within it that a path leads to."""
        for end in range(len(parts), 0, -1):
            module = self._module(".".join(parts[:end]))
            if module is not None:
                return self._within(module, parts[end:], depth)
        return None

    def _within(self, module: Module, rest: Sequence[str], depth: int) -> tuple[Module, str] | None:
        if not rest:
            return module, ""
        if depth > DEEPEST:
            return None
        name, later = rest[0], rest[1:]
        if name in module.imported:
            source, original = module.imported[name]
            return self._walk([*source.split("."), *([original] if original else []), *later], depth + 1)
        if name in module.bound:
            return self._member(module, name, later, depth)
        return self._from_elsewhere(module, rest, depth)

    def _from_elsewhere(self, module: Module, rest: Sequence[str], depth: int) -> tuple[Module, str] | None:
        """Return a name that a module has from code that runs at its import, or from `import *`."""
        # The API's own submodules lie beside the package that shows them.
        if module.name == "tensorflow" and not self._module(f"tensorflow.{rest[0]}"):
            api = f"tensorflow._api.v{min(self._major, 2)}"
            found = self._walk([*api.split("."), *rest], depth + 1) if self._module(api) else None
            if found is not None:
                return found
        for star in module.stars if not rest[0].startswith("_") else ():
            found = self._walk([*star.split("."), *rest], depth + 1)
            if found is not None:
                return found
        return None

    def _member(self, module: Module, name: str, later: Sequence[str], depth: int) -> tuple[Module, str] | None:
        """Return a name of a module, or of a class in it or in its bases."""
        node = module.bound[name]
        # `Sequential = sequential.Sequential`: the class is what users know.
        other = dotted_name(node.value) if isinstance(node, ast.Assign) else ""
        if other and other.split(".")[0] != name:
            found = self._within(module, [*other.split("."), *later], depth + 1)
            if found is not None or (later and self._within(module, other.split("."), depth + 1) is not None):
                return found
        if not later:
            return module, name
        if not isinstance(node, ast.ClassDef):
            return (module, name) if not isinstance(node, DEFINING) else None
        if any(named == later[0] for each in node.body for named in _bound_by(each)):
            return module, f"{name}.{later[0]}"
        for base in node.bases:
            dotted = dotted_name(base)
            found = self._within(module, [*dotted.split("."), *later], depth + 1) if dotted else None
            if found is not None:
                return found
        return None

    def _module(self, name: str) -> Module | None:
        if name not in self._modules:
            self._modules[name] = self._parsed(name)
        return self._modules[name]

    def _parsed(self, name: str) -> Module | None:
        """Return a module; None if there is none, or none that this Python can read."""
        where = self._paths.get(name)
        if where is None:
            return None
        source, path = where
        tree = parsed_tree(source[path])
        return None if tree is None else _surveyed(Module(name, path, tree))

    def _described(self, public: str, module: Module, name: str) -> PublicDefinition | None:
        if not name:
            return PublicDefinition(public, "module", module.name, "", module.path, 1)
        node = _node(module, name)
        if node is None:
            return None
        line = getattr(node, "lineno", 1)
        if isinstance(node, ast.ClassDef):
            start = self._walk([*module.name.split("."), name, "__init__"], 0)
            signature = None
            if start is not None and isinstance(function := _node(*start), DEFINING):
                signature = _signature(function, method=True, beside=self._aliases_of_bases(module, node))
            advice = advice_of(node)
            return PublicDefinition(
                public, "class", module.name, name, module.path, line, signature, advice, exports=exports_of(node)
            )
        if isinstance(node, DEFINING):
            signature = _signature(node, method="." in name and not _is_static(node))
            advice, body = advice_of(node), returned(node)
            return PublicDefinition(
                public, "function", module.name, name, module.path, line, signature, advice, body, exports_of(node)
            )
        return PublicDefinition(public, "value", module.name, name, module.path, line)

    def _aliases_of_bases(self, module: Module, node: ast.ClassDef) -> frozenset[str]:
        """Return the keywords that the constructors of a class and its bases look for among further ones."""
        found: set[str] = set()
        queue: list[tuple[Module, ast.ClassDef]] = [(module, node)]
        for _ in range(DEEPEST):
            if not queue:
                break
            where, one = queue.pop()
            for each in one.body:
                if isinstance(each, DEFINING) and each.name == "__init__":
                    found |= _looked_for(each)
            for base in one.bases:
                dotted = dotted_name(base)
                step = self._within(where, dotted.split("."), 0) if dotted else None
                if step is not None and isinstance(parent := _node(*step), ast.ClassDef):
                    queue.append((step[0], parent))
        return frozenset(found)

    @cached_property
    def _public(self) -> Mapping[str, tuple[str, ...]]:
        """Return the public paths of each last part of a name."""
        found: dict[str, list[str]] = {}
        for module, (source, path) in self._paths.items():
            shown = public_module(module, self._major)
            if shown is None:
                continue
            for name in _names_shown(source[path]):
                found.setdefault(name, []).append(f"{shown}.{name}")
        return {
            name: tuple(sorted(set(paths), key=lambda each: (each.count("."), each))) for name, paths in found.items()
        }

    def public_paths(self, name: str) -> tuple[str, ...]:
        """Return the public dotted names that end in a name, the shortest first."""
        return self._public.get(name, ())

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield every file with its text."""
        for source, path in self._paths.values():
            yield path, source[path]


def public_module(module: str, major: int) -> str | None:
    """Return the name by which users know a module of the API; None if it is none.

    >>> public_module("tensorflow._api.v2.nn", 2)
    'tensorflow.nn'
    >>> public_module("keras.api._v2.keras.layers", 2)
    'tensorflow.keras.layers'
    """
    for root in KERAS_OF_2 if major >= 2 else KERAS_OF_1:
        if module == root or module.startswith(f"{root}."):
            return f"tensorflow.keras{module.removeprefix(root)}"
    usual = f"tensorflow._api.v{min(major, 2)}"
    if module == usual or module.startswith(f"{usual}."):
        rest = module.removeprefix(usual)
        return None if rest.startswith((".v1", ".v2")) else f"tensorflow{rest}"
    if major < 2 and (
        module == "tensorflow" or re.match(r"tensorflow\.(?!python|core|contrib|_|compiler|tools)", module)
    ):
        return module
    return None


IMPORT_LINE = re.compile(r"^from \S+ import ([\w ,]+)", re.MULTILINE)


def _names_shown(text: str) -> Iterator[str]:
    """Yield the names that a generated file of the API imports; a pattern is enough for those, and fast."""
    for found in IMPORT_LINE.finditer(text):
        for each in found[1].split(","):
            name = each.rpartition(" as ")[2].strip()
            if name and not name.startswith("_"):
                yield name


def parsed_tree(text: str) -> ast.Module | None:
    """Return the syntax tree of a file; None where it is of another Python than this one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _surveyed(module: Module) -> Module:
    """Note what the top level of a module binds and imports."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    for statement in _statements(module.tree.body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                name = alias.asname or alias.name.split(".")[0]
                module.imported[name] = (alias.name if alias.asname else alias.name.split(".")[0], "")
        elif isinstance(statement, ast.ImportFrom):
            source = _absolute(statement, package)
            for alias in statement.names:
                if alias.name == "*":
                    module.stars.append(source)
                else:
                    module.imported[alias.asname or alias.name] = (source, alias.name)
        else:
            for name in _bound_by(statement):
                module.bound[name] = statement
                module.imported.pop(name, None)
    return module


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, those under conditions and guards too."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _statements([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handled = [each for handler in statement.handlers for each in handler.body]
            # What a guard falls back to must not hide what it tries first.
            yield from _statements([*handled, *statement.orelse, *statement.body])
        else:
            yield statement


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    if not statement.level:
        return _one_root(statement.module or "")
    base = package.split(".")[: len(package.split(".")) - statement.level + 1]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def _one_root(module: str) -> str:
    top, dot, rest = module.partition(".")
    return f"{ONE_ROOT.get(top, top)}{dot}{rest}"


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            for target in targets:
                bound = (each for each in ast.walk(target) if isinstance(each, ast.Name))
                yield from (each.id for each in bound if isinstance(each.ctx, ast.Store))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _node(module: Module, name: str) -> ast.AST | None:
    first, _, second = name.partition(".")
    node = module.bound.get(first)
    # A name that is only another name for something here: `a = b`.
    for _ in range(DEEPEST):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Name) or node.value.id == first:
            break
        if node.value.id not in module.bound:
            break
        node = module.bound[node.value.id]
    if not second:
        return node
    if isinstance(node, ast.ClassDef):
        return next((each for each in reversed(node.body) if second in _bound_by(each)), None)
    return None


def dotted_name(node: ast.AST) -> str:
    """Return a dotted name as it is written; "" for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            before = dotted_name(value)
            return f"{before}.{attr}" if before else ""
    return ""


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(dotted_name(each) == "staticmethod" for each in node.decorator_list)


def _signature(
    node: ast.FunctionDef | ast.AsyncFunctionDef, *, method: bool, beside: frozenset[str] = frozenset()
) -> Signature:
    taken = node.args
    plain = [*taken.posonlyargs, *taken.args]
    defaults = [None] * (len(plain) - len(taken.defaults)) + [ast.unparse(each) for each in taken.defaults]
    found = [SignatureParameter(each.arg, default) for each, default in zip(plain, defaults, strict=True)]
    found = found[1:] if method else found
    found += [
        SignatureParameter(each.arg, None if default is None else ast.unparse(default), keyword_only=True)
        for each, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True)
    ]
    keywords = taken.kwarg.arg if taken.kwarg else ""
    return Signature(
        tuple(found),
        taken.vararg.arg if taken.vararg else "",
        keywords,
        tuple(_aliases(node)),
        (beside | _looked_for(node)) if keywords else frozenset(),
    )


def _aliases(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield older names of parameters that a body takes in place of the present ones.

    `deprecated_argument_lookup("axis", axis, "dim", dim)` says so, and `kwargs.get("lr", learning_rate)`.
    """
    for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)):
        match call:
            case ast.Call(args=[ast.Constant(value=str(new)), _, ast.Constant(value=str(old)), *_]) if dotted_name(
                call.func
            ).endswith("deprecated_argument_lookup"):
                yield old, new
            case ast.Call(
                func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value=str(old)), ast.Name(id=str(new))]
            ):
                yield old, new


def _looked_for(node: ast.AST) -> frozenset[str]:
    """Return the keywords that a constructor looks for among those that it does not name."""
    found: set[str] = set()
    for each in ast.walk(node):
        match each:
            case ast.Call(
                func=ast.Attribute(attr="get" | "pop", value=ast.Name(id="kwargs")),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(name)
            case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In()], comparators=[ast.Name(id="kwargs")]):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Set(elts=items)) if "allowed" in target:
                found |= {
                    item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)
                }
    return frozenset(found)


WARNS = ("warn", "warning", "log_first_n", "warn_deprecated")
"""Calls whose texts say that something is deprecated."""


def advice_of(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return what a definition says about its deprecation, in its decorators or where its body warns."""
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    told = [text for call in calls if "deprecat" in dotted_name(call.func) for text in _texts_of(call) if " " in text]
    if not told and not isinstance(node, ast.ClassDef):
        inner = (each for each in ast.walk(node) if isinstance(each, ast.Call))
        warned = (call for call in inner if dotted_name(call.func).rpartition(".")[2] in WARNS)
        texts = (text for call in warned for text in _texts_of(call))
        told = [text for text in texts if "deprecated" in text or "removed" in text]
    return " ".join(told[0].split()) if told else ""


def _texts_of(call: ast.Call) -> Iterator[str]:
    yield from (_text(argument) for argument in [*call.args, *(keyword.value for keyword in call.keywords)])


def exports_of(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    """Return the public names that `tf_export` and `keras_export` give a definition, those of compat.v1 too."""
    found: dict[str, None] = {}
    for each in node.decorator_list:
        if not isinstance(each, ast.Call) or not dotted_name(each.func).endswith(("tf_export", "keras_export")):
            continue
        named = [*each.args, *(keyword.value for keyword in each.keywords if keyword.arg == "v1")]
        for text in (item for one in named for item in _strings(one)):
            found[text if text.startswith("tensorflow.") else f"tensorflow.{text}"] = None
        for text in (item for keyword in each.keywords if keyword.arg == "v1" for item in _strings(keyword.value)):
            found[f"tensorflow.compat.v1.{text}"] = None
        if not any(keyword.arg == "v1" for keyword in each.keywords):
            for text in (item for one in each.args for item in _strings(one)):
                found[f"tensorflow.compat.v1.{text}"] = None
    return tuple(found)


def _strings(node: ast.expr) -> list[str]:
    items = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def _text(node: ast.expr) -> str:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def returned(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return what a function does where all it does is to return a call."""
    body = [each for each in node.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]
    if len(body) == 1 and isinstance(body[0], ast.Return) and isinstance(body[0].value, ast.Call):
        return ast.unparse(body[0].value)
    return ""

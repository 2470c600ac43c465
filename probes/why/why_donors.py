"""The old text of a file: its syntax, its code, and what its names stand for."""

import ast
import linecache
import types

MARK = " of the other release"
FUNCTIONS = tuple(getattr(ast, name) for name in ("FunctionDef", "AsyncFunctionDef") if hasattr(ast, name))


class Donor(object):
    """One file as the other release has it."""

    def __init__(self, path, text, moved):
        """Read it.

        `moved` says under which name this release has modules that the other one has elsewhere.
        """
        self.filename = path + MARK
        self.tree = Moved(moved).visit(ast.parse(text))
        self._code = compile(self.tree, self.filename, "exec", 0, True)
        lines = text.splitlines(True)
        # Whoever asks for the source of a function gets this text: AutoGraph does.
        linecache.cache[self.filename] = (len(text), None, lines, self.filename)

    def code(self, name):
        """Return the code of a function by its qualified name; None if there is none."""
        found = self._code
        for part in name.split("."):
            found = next((each for each in constants(found) if each.co_name == part), None)
            if found is None:
                return None
        return found

    def node(self, name):
        """Return the syntax of a definition by its qualified name; None if there is none."""
        body, found = self.tree.body, None
        for part in name.split("."):
            found = next((each for each in flattened(body) if getattr(each, "name", None) == part), None)
            if found is None:
                return None
            body = found.body
        return found

    def binding(self, name):
        """Return the statement of the module that gives a name its value; None if none does."""
        return next((each for each in flattened(self.tree.body) if name in bound(each)), None)

    def run(self, statement, namespace):
        """Run one statement of the module in a namespace."""
        module = ast.parse("")
        module.body = [statement]
        exec(compile(module, self.filename, "exec", 0, True), namespace)

    def value(self, expression, namespace):
        """Return what an expression of this file is in a namespace."""
        return eval(compile(ast.Expression(expression), self.filename, "eval", 0, True), namespace)


class Moved(ast.NodeTransformer):
    """Lets imports name modules as this release does, those inside functions too."""

    def __init__(self, moved):
        self._moved = moved

    def visit_Import(self, node):
        for each in node.names:
            if each.name in self._moved and each.asname:
                each.name = self._moved[each.name]
        return node

    def visit_ImportFrom(self, node):
        whole = [self._moved.get("%s.%s" % (node.module, each.name)) for each in node.names]
        if node.level or not node.module:
            return node
        if len(whole) == 1 and whole[0]:
            module, _, name = whole[0].rpartition(".")
            node.names[0].asname = node.names[0].asname or node.names[0].name
            node.module, node.names[0].name = module, name
        else:
            node.module = self._moved.get(node.module, node.module)
        return node


def constants(code):
    """Yield the code inside a code."""
    return (each for each in code.co_consts if isinstance(each, types.CodeType))


def flattened(body):
    """Yield the statements of a body, those behind conditions too."""
    for each in body:
        yield each
        for name in ("body", "orelse", "finalbody") if isinstance(each, (ast.If,) + TRIES) else ():
            for inner in flattened(getattr(each, name, [])):
                yield inner
        for handler in getattr(each, "handlers", []):
            for inner in flattened(handler.body):
                yield inner


TRIES = tuple(getattr(ast, name) for name in ("Try", "TryExcept", "TryFinally") if hasattr(ast, name))


def bound(statement):
    """Return the names that a statement gives a value to."""
    if isinstance(statement, FUNCTIONS + (ast.ClassDef,)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [each.asname or each.name.split(".")[0] for each in statement.names]
    if isinstance(statement, ast.Assign):
        return [each.id for each in statement.targets if isinstance(each, ast.Name)]
    return []


def names_in(code):
    """Return all names that a code uses, those of the functions inside it too."""
    found = set(code.co_names)
    for each in constants(code):
        found |= names_in(each)
    return found

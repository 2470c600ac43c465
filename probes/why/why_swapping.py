"""Gives functions the text that they have in the other release, while the program runs."""

import gc
import sys
import types

from why_donors import constants, names_in
from why_tracing import within

BUILTINS = set(dir(__builtins__ if isinstance(__builtins__, types.ModuleType) else types.ModuleType("b")))
BUILTINS |= set(__builtins__) if isinstance(__builtins__, dict) else set()
METHODS = (staticmethod, classmethod)


class Swapping(object):
    """Carries out one hypothesis; what cannot be done is noted, not raised."""

    def __init__(self, donors):
        """Take the donors, by the path that their file has in this release."""
        self._donors = donors
        self.done = {}
        """id -> how many functions got another text."""
        self.failed = []
        """[id, why], of what could not be done."""
        self._supplied = set()

    def carry_out(self, added, swaps):
        """Add what only the other release has, then give functions their other text."""
        functions = functions_at({(each["file"], each["line"]) for each in swaps if each.get("line")})
        for each in added + [swap for swap in swaps if swap["kind"] == "added"]:
            self._attempt(each, self._add)
        for each in swaps:
            if each["kind"] == "removed":
                self._attempt(each, self._remove)
            elif each["kind"] == "text":
                found = functions.get((each["file"], each["line"]), [])
                self._attempt(each, lambda swap, found=found: self._swap(swap, found))

    def _attempt(self, each, act):
        try:
            self.done[each["id"]] = act(each)
        except Exception as error:
            self.failed.append([each["id"], "%s: %s" % (type(error).__name__, error)])

    def _swap(self, swap, functions):
        """Give every function of one place another text; return how many there are."""
        donor = self._donors[swap["file"]]
        code = donor.code(swap["name"])
        if code is None:
            raise LookupError("the other release has no code of this name")
        if not functions:
            raise LookupError("no function of this place is in memory")
        for function in functions:
            self._supply(donor, code, function.__globals__, owner_of(swap))
            if swap["defaults"]:
                self._give_defaults(donor, swap["name"], function)
            if code.co_freevars == function.__code__.co_freevars:
                function.__code__ = code
            else:
                self._replace(swap, function, code)
        return len(functions)

    def _give_defaults(self, donor, name, function):
        node, namespace = donor.node(name), dict(function.__globals__)
        given = tuple(donor.value(each, namespace) for each in node.args.defaults)
        function.__defaults__ = given or None
        named = getattr(node.args, "kw_defaults", [])
        pairs = zip(getattr(node.args, "kwonlyargs", []), named)
        found = {each.arg: donor.value(value, namespace) for each, value in pairs if value is not None}
        if hasattr(function, "__kwdefaults__"):
            function.__kwdefaults__ = found or None

    def _replace(self, swap, function, code):
        """Put a new function into its class, where one with these free variables cannot have another code."""
        holder = self._class(swap)
        name = swap["name"].rpartition(".")[2]
        there = holder.__dict__.get(name)
        inner = there.__func__ if isinstance(there, METHODS) else there
        if inner is not function:
            raise ValueError("it has other free variables, and is no plain method")
        made = function_of(code, function.__globals__, function.__defaults__, holder)
        if hasattr(function, "__kwdefaults__"):
            made.__kwdefaults__ = function.__kwdefaults__
        setattr(holder, name, type(there)(made) if isinstance(there, METHODS) else made)

    def _add(self, addition):
        """Add a function or method that only the other release has; return how many were added."""
        module, name = module_of(addition["file"]), addition["name"]
        donor = self._donors[addition["file"]]
        owner, _, plain = name.rpartition(".")
        if not owner:
            if hasattr(module, plain):
                return 0
            self._supply_name(donor, plain, module.__dict__)
            return 1
        holder = self._class(addition)
        if addition["kind"] != "added" and hasattr(holder, plain):
            raise LookupError("an inherited one of this name is there")
        node, code = donor.node(name), donor.code(name)
        self._supply(donor, code, module.__dict__, owner)
        made = function_of(code, module.__dict__, None, holder)
        self._give_defaults(donor, name, made)
        found = made
        for each in reversed(node.decorator_list):
            found = donor.value(each, dict(module.__dict__, **holder.__dict__))(found)
        setattr(holder, plain, found)
        return 1

    def _remove(self, removal):
        delattr(self._class(removal), removal["name"].rpartition(".")[2])
        return 1

    @staticmethod
    def _class(swap):
        found = module_of(swap["file"])
        for part in owner_of(swap).split("."):
            found = getattr(found, part)
        if not isinstance(found, type):
            raise LookupError("its class is not plain")
        return found

    def _supply(self, donor, code, namespace, owner):
        """Give a module the names that a code of the other release uses and this one lacks."""
        for name in names_in(code):
            if name not in namespace and name not in BUILTINS:
                self._supply_name(donor, name, namespace)

    def _supply_name(self, donor, name, namespace):
        if (id(namespace), name) in self._supplied:
            return
        self._supplied.add((id(namespace), name))
        statement = donor.binding(name)
        if statement is None:
            return
        try:
            for inner in constants(compile_of(donor, statement)):
                self._supply(donor, inner, namespace, "")
            donor.run(statement, namespace)
        except Exception as error:
            self.failed.append([name, "%s: %s" % (type(error).__name__, error)])


def compile_of(donor, statement):
    import ast

    module = ast.parse("")
    module.body = [statement]
    return compile(module, donor.filename, "exec", 0, True)


def owner_of(swap):
    """Return the name of the class of a method."""
    return swap["name"].rpartition(".")[0]


def function_of(code, namespace, defaults, holder):
    """Make a function; a method may name its class."""
    cells = []
    for name in code.co_freevars:
        if name != "__class__":
            raise ValueError("it closes over %s" % name)
        cells.append((lambda: holder).__closure__[0])
    return types.FunctionType(code, namespace, code.co_name, defaults, tuple(cells) or None)


def module_of(path):
    """Return the loaded module of a file."""
    for module in list(sys.modules.values()):
        found = getattr(module, "__file__", None)
        if isinstance(found, str) and within(found.replace(".pyc", ".py")) == path:
            return module
    raise LookupError("its module is not loaded")


def functions_at(places):
    """Return all functions in memory whose code begins at these places, wrapped and inherited ones too."""
    if hasattr(gc, "unfreeze"):
        gc.unfreeze()  # what was there when the framework was imported is set aside, and not listed
    found = {}
    for each in gc.get_objects():
        if type(each) is types.FunctionType:
            code = each.__code__
            place = (within(code.co_filename), code.co_firstlineno)
            if place in places:
                found.setdefault(place, []).append(each)
    return found

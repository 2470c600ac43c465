"""Runs the tests of a project with pytest, and says of each how it ended."""

import collections
import os

MOST_TESTS = 500
MESSAGE_CHARACTERS = 500
# A file that cannot be collected must not hide the tests of all others, and nothing is kept for a next run.
OPTIONS = ["--continue-on-collection-errors", "-p", "no:cacheprovider"]


def run(context):
    try:
        import pytest
    except ImportError as error:
        raise context.Untestable("pytest is not in this environment: %s" % error)
    if context.framework_name in ("tensorflow", "keras"):
        load_with_framework()  # noqa: F821 - stands in front of this text, with the modules that it makes
        answer_from_container(context)
    seen = Seen()
    try:
        code = int(pytest.main(list(context.arguments) + OPTIONS, plugins=[seen]))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    if len(seen.tests) > MOST_TESTS:
        context.note("%d of %d tests were kept" % (MOST_TESTS, len(seen.tests)))
    return {
        "parameters": dict(context.parameters),
        "exit_code": code,
        "pytest": str(pytest.__version__),
        "tests": list(seen.tests.values())[:MOST_TESTS],
        "uncollected": seen.uncollected[:MOST_TESTS],
    }


def answer_from_container(context):
    """Let data sets come from the container: a run has no network."""
    from tfbisect_datasets import answer_datasets
    from tfbisect_keras import keras_modules

    try:
        answer_datasets(context, keras_modules(context))
    except context.Untestable:
        pass


class Seen(object):
    """What pytest says while it runs, by its own hooks."""

    def __init__(self):
        self.tests = collections.OrderedDict()
        self.uncollected = []
        self._names = {}

    def pytest_collection_modifyitems(self, items):
        for item in items:
            self._names[item.nodeid] = name_of(item)

    def pytest_collectreport(self, report):
        if report.failed:
            lines = str(report.longrepr).strip().splitlines() or [""]
            name = str(report.nodeid) or "the project"
            self.uncollected.append({"name": name, "message": lines[-1][:MESSAGE_CHARACTERS]})

    def pytest_runtest_logreport(self, report):
        found = self._test(report.nodeid)
        if report.failed:
            found["result"] = "failed"
            found["message"] = last_line(report)
        elif report.skipped:
            found["result"] = "xfailed" if hasattr(report, "wasxfail") else "skipped"
            found["message"] = last_line(report)
        elif report.when == "call":
            found["result"] = "xpassed" if hasattr(report, "wasxfail") else "passed"

    def pytest_exception_interact(self, node, call, report):
        if report.nodeid in self.tests:
            found, raised = self._test(report.nodeid), call.excinfo
            found["exception"] = str(getattr(raised.type, "__name__", "Exception"))[:200]
            found["message"] = message_of(raised.value)

    def _test(self, nodeid):
        new = {"name": self._names.get(nodeid, nodeid), "result": "passed", "exception": "", "message": ""}
        return self.tests.setdefault(nodeid, new)


def name_of(item):
    """Return a test's node id from the working folder, whatever pytest takes for the root of the project."""
    place = str(getattr(item, "path", None) or getattr(item, "fspath", ""))
    rest = item.nodeid.partition("::")[2]
    if not place:
        return item.nodeid
    path = os.path.relpath(os.path.realpath(place), os.path.realpath(os.getcwd())).replace(os.sep, "/")
    return "%s::%s" % (path, rest) if rest else path


def last_line(report):
    """Return why a test was skipped, or the end of what it said."""
    said = report.longrepr
    text = said[2] if isinstance(said, tuple) and len(said) == 3 else said
    lines = ("%s" % (text,)).strip().splitlines()
    return lines[-1][:MESSAGE_CHARACTERS] if lines else ""


def message_of(error):
    """Return an exception's message, whatever its __str__ does."""
    try:
        return str(error)[:MESSAGE_CHARACTERS]
    except BaseException:
        return ""

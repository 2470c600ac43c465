"""What ends a run early, and what is told of whatever was raised."""

import sys
import traceback

from harness_files import is_own, without_folder

SNIPPET = "snippet.py"
MESSAGE_CHARACTERS = 2000
WORD_CHARACTERS = 200
TRACEBACK_LINES = 40
# Names of a snippet's own mistakes: no release of a framework makes a name defined.
OWN_MISTAKES = ("NameError", "UnboundLocalError", "IndentationError", "TabError")


class Untestable(Exception):
    """This release cannot answer; the message is the reason."""


class Refused(Exception):
    """The snippet is at fault, not the release."""

    def __init__(self, message, line=None):
        Exception.__init__(self, message)
        self.line = line


class Raised(Exception):
    """The snippet, or the framework on its behalf, raised `exc_info`."""

    def __init__(self, exc_info):
        Exception.__init__(self, "raised")
        self.exc_info = exc_info


class Stop(BaseException):
    """Unwinds the snippet once the probe has what it wants; `except Exception` does not catch it."""


def described(exc_info):
    """Return what was raised as facts: name, message, traceback, line of the snippet, who raised it."""
    kind, error, trail = exc_info
    frames = traceback.extract_tb(trail)
    own = [frame for frame in frames if frame[0] == SNIPPET]
    theirs = [frame for frame in frames if frame[0] == SNIPPET or is_own(frame[0])]
    if theirs:
        frames = frames[frames.index(theirs[0]) :]
    lines = "".join(traceback.format_list(frames) + last_lines(kind, error)).splitlines()
    origin = "snippet" if theirs and frames[-1] is theirs[-1] else "framework"
    return {
        "kind": "raised",
        "exception": name_of_exception(kind),
        "message": message_of(error),
        "traceback": without_folder("\n".join(lines[-TRACEBACK_LINES:])),
        "line": own[-1][1] if own else None,
        "origin": origin,
    }


# An exception's class may be the snippet's: whatever it is asked may raise anything, SystemExit too, which would end
# this program without an answer.


def name_of_exception(kind):
    """Return the name of an exception's class as one word: type() takes any text for a name."""
    try:
        given = str.__getitem__(str(kind.__name__), slice(WORD_CHARACTERS))
    except BaseException:
        given = "Exception"
    name = "".join(letter if letter.isalpha() or letter in "_.0123456789" else "_" for letter in given)
    return name if name[:1].isalpha() else "_" + name[: WORD_CHARACTERS - 1]


def message_of(error):
    """Return an exception's message, whatever its __str__ does."""
    try:
        return str.__getitem__(str(error), slice(MESSAGE_CHARACTERS))
    except BaseException:
        return "(%s without a text)" % name_of_exception(type(error))


def last_lines(kind, error):
    """Return how a traceback ends, as Python prints it."""
    try:
        return traceback.format_exception_only(kind, error)
    except BaseException:
        return ["%s: %s\n" % (name_of_exception(kind), message_of(error))]


def module_missed(error):
    """Return the first part of the name of the module that an ImportError says is not there."""
    try:
        name = str(getattr(error, "name", None) or "")
    except BaseException:
        name = ""
    return (name or message_of(error).split("named ")[-1].strip("'\"")).split(".")[0]


def result_of_raised(context, exc_info):
    """Say whether what was raised is the snippet's own mistake or a behaviour of the release."""
    facts = described(exc_info)
    missing = module_missed(exc_info[1])
    if facts["exception"] in ("ImportError", "ModuleNotFoundError") and facts["message"].startswith("No module named"):
        # A part that a release lacks is its behaviour; a package that is not there at all is not.
        if missing not in (context.framework_name, "keras", "tensorflow") and missing not in sys.modules:
            reason = "the snippet imports %s, which this environment does not have" % missing
            facts.update(kind="refused", message=reason)
    elif facts["exception"] in OWN_MISTAKES and facts["origin"] == "snippet":
        facts.update(kind="refused", message="%s: %s" % (facts["exception"], facts["message"]))
    return facts


def is_line(found):
    """Say whether something is the number of a line."""
    return isinstance(found, int) and not isinstance(found, bool) and 0 < found < 1 << 31

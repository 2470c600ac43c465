"""Every error that a user can meet.

TfbisectError
├── BadInput                what was asked cannot be done; nothing was started (exit 2, HTTP 422)
│   ├── SnippetError          empty, oversized, no Python, no model, no dropout layer
│   ├── RangeError            no release in the range, ends swapped
│   ├── ProjectError          files that are too large, lead out of their folder, or cannot be read
│   ├── UnknownName           no such probe, package, variant, setting
│   └── ReplayError           a replay table that cannot be read
├── NotFound                no bisection, watch or token of that name (exit 2, HTTP 404)
├── ReleaseUntestable       this release cannot answer, with the reason; the bisection goes on
│   ├── NoInterpreter         no Python that the release's wheels accept
│   └── NotInstallable        its wheels or dependencies cannot be installed
└── Unavailable             something around us is missing (exit 3, HTTP 503)
    ├── NoRunner              neither an engine nor an interpreter
    ├── EngineLost            the engine went away in the middle
    ├── IndexUnreachable      the package index does not answer and nothing is cached
    ├── DiskFull              too little room for an image
    └── StoreError            the database cannot be reached or is of another version
        └── StoreDamaged        its file cannot be read any more; only a backup helps
"""

from __future__ import annotations

from service.secret_urls import without_credentials

EXIT_DIFFERS = 1
"""The upgrade gate found a difference that counts."""
EXIT_BAD_INPUT = 2
EXIT_NO_ANSWER = 3
"""Nothing testable, something required is missing, or a check or a watch failed."""
EXIT_CHANGED = 10
"""A nightly pass found that a verdict changed."""
EXIT_INTERRUPTED = 130


class TfbisectError(Exception):
    """The root. A message says what is wrong, both values, and what to do next."""

    exit_code = EXIT_NO_ANSWER
    http_status = 500
    title = "Something went wrong"

    def __init__(self, message: str, *, field: str | None = None, line: int | None = None, traceback: str = "") -> None:
        # Messages of libraries and programs may contain an address with its password.
        self.message = without_credentials(message)
        super().__init__(self.message)
        self.field = field
        """Path of the wrong field in the request, such as `releases`; None if there is none."""
        self.line = line
        """Line of the snippet, 1-based; None if there is none."""
        self.traceback = traceback
        """The last lines of what the snippet raised; empty where it did not run."""


class BadInput(TfbisectError):
    """What was asked cannot be done; nothing was started."""

    exit_code = EXIT_BAD_INPUT
    http_status = 422
    title = "Bad input"


class SnippetError(BadInput):
    """The snippet cannot be probed."""

    title = "Snippet not usable"


class RangeError(BadInput):
    """The given releases contain nothing to bisect."""

    title = "Range not usable"


class ProjectError(BadInput):
    """Files that cannot be taken; nothing was kept."""

    title = "Files not usable"

    def __init__(self, message: str) -> None:
        super().__init__(message, field="project")


class UnknownName(BadInput):
    """A name that is not known here."""

    title = "Unknown name"


class ReplayError(BadInput):
    """A replay table that cannot be read."""

    title = "Replay table not usable"


class NotFound(TfbisectError):
    """Nothing is stored under that name."""

    exit_code = EXIT_BAD_INPUT
    http_status = 404
    title = "Not found"


class ReleaseUntestable(TfbisectError):
    """This release cannot answer; the message is the reason."""

    title = "Release untestable"


class NoInterpreter(ReleaseUntestable):
    """No Python that the release's wheels support is available."""


class NotInstallable(ReleaseUntestable):
    """The release's wheels or their dependencies cannot be installed."""


class Unavailable(TfbisectError):
    """Something required is missing."""

    http_status = 503
    title = "Not available"


class NoRunner(Unavailable):
    """There is neither an engine nor an interpreter."""


class NoAnswer(Unavailable):
    """Not one release gave an outcome; the message says why."""

    title = "No verdict"


class EngineLost(Unavailable):
    """The engine went away in the middle of a run; says nothing about the release."""


class IndexUnreachable(Unavailable):
    """The package index does not answer and nothing is cached."""


class DiskFull(Unavailable):
    """Too little room for another image."""


class StoreError(Unavailable):
    """The database cannot be reached, or is of another version."""


class StoreDamaged(StoreError):
    """The database file is damaged; only a backup helps."""

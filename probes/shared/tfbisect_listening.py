"""Hears what Python's warnings and every logger say while a script runs."""

import functools
import logging
import warnings

MOST = 200
CHARACTERS = 2000


class Listening(object):
    """While it lasts, warnings that would be shown and records from WARNING on are kept, each once."""

    def __init__(self):
        self.heard = []
        self._known = set()

    def __enter__(self):
        self._showwarning, self._handlers = warnings.showwarning, logging.Logger.callHandlers
        warnings.showwarning = self._shown(warnings.showwarning)
        logging.Logger.callHandlers = self._logged(logging.Logger.callHandlers)
        return self

    def __exit__(self, *exc_info):
        warnings.showwarning = self._showwarning
        logging.Logger.callHandlers = self._handlers

    def _shown(self, original):
        @functools.wraps(original)
        def showwarning(message, category, *args, **kwargs):
            self._hear(getattr(category, "__name__", "Warning"), message)
            return original(message, category, *args, **kwargs)

        return showwarning

    def _logged(self, original):
        @functools.wraps(original)
        def callHandlers(logger, record):
            if record.levelno >= logging.WARNING:
                try:
                    self._hear(record.levelname, record.getMessage())
                except Exception:
                    pass  # A record whose arguments do not fit its words says so itself.
            return original(logger, record)

        return callHandlers

    def _hear(self, kind, message):
        try:
            said = [str(kind)[:100], ("%s" % (message,))[:CHARACTERS]]
        except Exception:
            return
        if tuple(said) not in self._known and len(self.heard) < MOST:
            self._known.add(tuple(said))
            self.heard.append(said)

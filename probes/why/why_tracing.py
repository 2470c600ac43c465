"""Which functions of the installed packages run."""

import os
import sys
import threading

MARK = "site-packages" + os.sep


def within(filename):
    """Return a file's path from the folder of packages on; "" for any other file."""
    at = filename.rfind(MARK)
    return filename[at + len(MARK) :] if at >= 0 else ""


class Traced(object):
    """Notes the code that runs, by file and first line, in every thread that Python starts."""

    def __init__(self):
        self._codes = {}

    def __enter__(self):
        codes = self._codes

        def note(frame, event, _argument):
            if event == "call":
                codes[frame.f_code] = None

        threading.setprofile(note)
        sys.setprofile(note)
        return self

    def __exit__(self, *_error):
        sys.setprofile(None)
        threading.setprofile(None)

    def told(self, roots):
        """Return the first lines by file, of the packages that matter."""
        found = {}
        for code in list(self._codes):
            path = within(code.co_filename)
            if path.split(os.sep)[0] in roots:
                found.setdefault(path, set()).add(code.co_firstlineno)
        return {path: sorted(lines) for path, lines in found.items()}


def loaded(roots):
    """Return the modules of these packages that are loaded."""
    return sorted(name for name in list(sys.modules) if name.split(".")[0] in roots and sys.modules[name] is not None)

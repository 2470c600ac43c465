"""Collects what a script prints, and passes it on at once: of a process that dies, that is all that is left."""

import io
import os
import sys
import tempfile

SHOWN_BYTES = 256 * 1024


class Collected(object):
    """A standard stream that goes into a file, from Python and from native code, until it is given back."""

    def __init__(self, name="stdout"):
        self._name, self._number = name, 1 if name == "stdout" else 2
        self._stream = getattr(sys, name)
        self._stream.flush()
        self._file = tempfile.TemporaryFile()
        self._former = os.dup(self._number)
        self._shown, self._owner = 0, os.getpid()
        self._aside = os.dup(2)
        os.dup2(self._file.fileno(), self._number)
        self._own = self._passing_on()

    def _passing_on(self):
        """Put a stream in Python's place that passes on what it writes; None where Python has no such streams."""
        if not hasattr(os, "pread") or type(self._stream) is not io.TextIOWrapper:
            return None
        try:
            how = {"encoding": self._stream.encoding, "errors": self._stream.errors}
            own = io.TextIOWrapper(PassingOn(self), write_through=True, **how)
            own.mode = "w"
        except Exception:
            return None
        setattr(sys, self._name, own)
        return own

    def pass_on(self):
        """Copy the beginning of what is new to standard error; whoever prints is never disturbed by it."""
        if self._shown >= SHOWN_BYTES or os.getpid() != self._owner:
            return
        try:
            size = min(os.fstat(self._file.fileno()).st_size, SHOWN_BYTES)
            words = os.pread(self._file.fileno(), size - self._shown, self._shown)
            self._shown += len(words)
            os.write(self._aside, words)
        except (OSError, ValueError):
            self._shown = SHOWN_BYTES

    def back(self):
        """Give the stream back, and return the file with all that was collected."""
        for stream in (getattr(sys, self._name), self._own, self._stream):
            try:
                stream.flush()
            except Exception:
                pass  # The script may have put anything in its place, or nothing.
        if getattr(sys, self._name) is self._own:
            setattr(sys, self._name, self._stream)
        os.dup2(self._former, self._number)
        self._file.seek(self._shown)
        os.write(self._aside, self._file.read(max(0, SHOWN_BYTES - self._shown)))
        os.close(self._former)
        os.close(self._aside)
        self._file.seek(0)
        return self._file


class PassingOn(io.FileIO):
    """Standard output as Python writes it."""

    def __init__(self, collected):
        io.FileIO.__init__(self, collected._number, "wb", closefd=False)
        self.name = "<%s>" % collected._name
        self._collected = collected

    def write(self, words):
        written = io.FileIO.write(self, words)
        self._collected.pass_on()
        return written

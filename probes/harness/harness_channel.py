"""The two ways between a runner and this program, and the streams that a snippet prints to."""

import json
import os
import sys

from harness_values import encoded

RESULT_BYTES = 1 << 20


class Channel(object):
    """The way back to whoever asks: events, one JSON object per line, on a descriptor of its own."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self._write = os.write

    def send(self, event):
        line = encoded(event)
        if len(line) > RESULT_BYTES:
            reason = "the probe's result has %d bytes, more than %d" % (len(line), RESULT_BYTES)
            line = encoded({"event": "result", "result": {"kind": "untestable", "message": reason}})
        self.send_bytes(line + b"\n")

    def send_bytes(self, line):
        while line:
            line = line[self._write(self.descriptor, line) :]


def channel_to_runner():
    """Return a copy of standard output, which itself becomes standard error."""
    sys.stdout.flush()
    channel = Channel(os.dup(1))
    os.dup2(2, 1)
    return channel


class Lines(object):
    """What the runner says, one JSON object per line; `held` came with the line that brought this program."""

    def __init__(self, held):
        self._hold(held)

    def next(self):
        """Return the next object, or None when the runner hung up."""
        while not self._whole:
            if not self.take():
                return None
        line, _, rest = b"".join(self._parts).partition(b"\n")
        self._hold(rest)
        return json.loads(line.decode("ascii")) if line.strip() else None

    def has_one(self):
        """Say whether a whole line has come."""
        return self._whole

    def take(self):
        """Take what has come; False when no more can come."""
        chunk = os.read(0, 1 << 16)
        # Kept in parts: a question with a project has megabytes, and to join each part to all others takes seconds.
        self._parts.append(chunk)
        self._whole = self._whole or b"\n" in chunk
        return bool(chunk)

    def _hold(self, words):
        self._parts, self._whole = [words], b"\n" in words


def mark(word):
    """Say on standard error that all printing up to here is of one question, or of the import."""
    try:
        Channel(2).send_bytes(b"\0" + word.encode("ascii") + b"\0")
    except OSError:
        pass  # a child made the stream one that does not wait: without its mark the runner ends this process


def flush():
    """Let what was printed go out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the snippet may have put anything in its place
            pass


def leave(status, at_once=os._exit):
    """End at once: a framework's own tear-down may hang or crash, and says nothing about the snippet."""
    flush()
    at_once(status)

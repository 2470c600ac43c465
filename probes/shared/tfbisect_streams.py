"""Keeps what a script prints: its beginning and its end word by word, what lies between by digest."""

import collections
import hashlib
import re

from tfbisect_echo import Collected

HEAD_BYTES = 96 * 1024
TAIL_BYTES = 32 * 1024
HEAD_LINES = 500
TAIL_LINES = 200
BLOCK_LINES = 100
MOST_BLOCKS = 200
LINE_BYTES = 64 * 1024

ESCAPE = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")
# What Keras prints by itself in fit, evaluate and predict: its numbers are facts of their own, and how often a line is
# written again depends on the clock.
HEADING = re.compile(
    "^(?:Epoch \\d+/\\d+|(?:Train|Test|Validate) on \\d+ (?:samples|steps)(?:, validate on \\d+ (?:samples|steps))?)$"
)
COUNT = re.compile("^\\s*\\d+/(?:\\d+|Unknown)\\b")
BAR = re.compile("\\[[=>.]{5,}\\]|ETA: |/step\\b|\u2501{3}| - \\d+(?:s|ms|us)\\b")
SUMMARY = re.compile("^ - \\d+(?:s|ms|us)\\b")
NUMBER = re.compile("[-+]?\\d+(?:\\.\\d*)?(?:[eE][-+]?\\d+)?")
CHANGING = re.compile("0x[0-9a-fA-F]{4,}|(?:/[\\w.+@~-]+)+/[\\w.+@~-]*")


class Stream(object):
    """Collects what goes to standard output until it is taken."""

    def __init__(self):
        self._collected = Collected()

    def taken(self):
        """Return the facts of all that was printed."""
        kept = Kept()
        for raw in lines_of(self._collected.back()):
            kept.add(raw)
        return kept.facts()


def lines_of(source):
    """Yield the lines of a file; of one without measure its beginning, as one line, and then the rest."""
    while True:
        raw = source.readline(LINE_BYTES)
        if not raw:
            return
        yield raw


class Kept(object):
    """The beginning and the end of many lines, and the digests of what lies between."""

    def __init__(self):
        self.lines = self.progress = self.bytes = 0
        self._head, self._head_bytes = [], 0
        self._tail, self._tail_bytes = collections.deque(), 0
        self._blocks, self._block = [], None

    def add(self, raw):
        """Take one line as it was written."""
        line = seen(raw)
        self.bytes += len(raw)
        if is_progress(line) or (not line.strip() and raw.strip()):
            self.progress += 1
            return
        self.lines += 1
        short = len(self._head) < HEAD_LINES and self._head_bytes + len(raw) <= HEAD_BYTES
        if short and not self._tail:
            self._head.append(line)
            self._head_bytes += len(raw)
            return
        self._tail.append((line, len(raw)))
        self._tail_bytes += len(raw)
        while self._tail_bytes > TAIL_BYTES or len(self._tail) > TAIL_LINES:
            line, size = self._tail.popleft()
            self._tail_bytes -= size
            self._between(line)

    def _between(self, line):
        if self._block is None or (self._block.lines == BLOCK_LINES and len(self._blocks) < MOST_BLOCKS):
            self._block = Block()
            self._blocks.append(self._block)
        self._block.add(line)

    def facts(self):
        """Return all of it."""
        return {
            "lines": self.lines,
            "progress_lines": self.progress,
            "bytes": self.bytes,
            "head": "\n".join(self._head),
            "tail": "\n".join(line for line, _ in self._tail),
            "between": [block.facts() for block in self._blocks],
        }


def is_progress(line):
    """Say whether Keras wrote a line by itself."""
    if HEADING.match(line) or SUMMARY.match(line):
        return True
    return bool(COUNT.match(line) and BAR.search(line))


class Block(object):
    """Some lines by the digest of their words and the mean of their numbers."""

    def __init__(self):
        self.lines, self._digest, self._numbers, self._sum = 0, hashlib.sha256(), 0, 0.0

    def add(self, line):
        self.lines += 1
        line = CHANGING.sub("<>", line)
        for found in NUMBER.findall(line):
            self._numbers += 1
            self._sum += float(found)
        self._digest.update(NUMBER.sub("#", line).encode("utf-8") + b"\n")

    def facts(self):
        mean = self._sum / self._numbers if self._numbers else 0.0
        return {"lines": self.lines, "digest": self._digest.hexdigest()[:16], "numbers": self._numbers, "mean": mean}


def seen(raw):
    """Return a line as a terminal would show it in the end."""
    line = ESCAPE.sub("", raw.decode("utf-8", "replace")).rstrip("\r\n").replace("\x08", "")
    return line.rsplit("\r", 1)[-1].rstrip()

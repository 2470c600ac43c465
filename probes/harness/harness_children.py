"""One import, many answers: a parent that its children cannot steer, and a child for each question."""

import json
import os
import select
import signal
import sys
import traceback
import warnings

from harness_answering import respond
from harness_channel import RESULT_BYTES, Channel, leave, mark
from harness_clocks import monotonic, time_sleep
from harness_surroundings import contents, memory_kills, restore, surroundings
from harness_values import written

LINGER_SECONDS = 1.0
PR_SET_DUMPABLE = 4
HANDLED = {}


def serve(channel, lines, name, framework, folders):
    """Answer questions until the runner hangs up, each in a child of its own."""
    before, held = surroundings(folders), contents(folders)
    while True:
        killed = memory_kills()
        child = Child(channel, name, framework)
        request = lines.next()
        while request is not None and "id" not in request:
            request = lines.next()  # told to stop what had ended by itself
        if request is None:
            child.end()
            return
        began = monotonic()
        child.ask(request)
        words = child.listen(lines)
        stopped = lines.has_one() and lines.next() is not None
        status, left = child.end()
        over = {"event": "over", "answer": request["id"], "said": words.decode("latin-1"), "stopped": stopped}
        over.update(ending_of(status), seconds=monotonic() - began)
        over["out_of_memory"] = killed is not None and memory_kills() != killed
        mark(request["id"])
        channel.send_bytes(written(over).encode("ascii") + b"\n")
        restore(folders, held)
        after = surroundings(folders)
        changed = sorted(each for each in before if before[each] != after[each]) + ["processes"] * left
        again = {"event": "again", "answer": request["id"], "changed": changed}
        channel.send_bytes(written(again).encode("ascii") + b"\n")
        if changed:
            return


class Child(object):
    """A copy of this process that waits for its one question.

    It is made before the question is read: so it never holds the word by which the runner knows this process's answers.
    """

    def __init__(self, channel, name, framework):
        asked, self._question = os.pipe()
        self.said, said = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # "multi-threaded": from 3.12 on, whoever forks
            self.pid = os.fork()
        if self.pid:
            os.close(asked)
            os.close(said)
            return
        status = 70
        try:
            for descriptor in (0, channel.descriptor, self._question, self.said):
                os.close(descriptor)
            begin_anew()
            with os.fdopen(asked, "rb") as source:
                request = json.loads(source.read().decode("ascii"))
            own = Channel(said)
            respond(own, name, framework, request)
            os.close(said)
            status = 0
        except BaseException:
            traceback.print_exc()
        leave(status)

    def ask(self, request):
        """Hand the question over."""
        question = {name: request[name] for name in ("probe", "snippet", "parameters", "files") if name in request}
        try:
            Channel(self._question).send_bytes(written(question).encode("ascii"))
        except OSError:
            pass  # it was killed while it waited: its end says so
        os.close(self._question)

    def listen(self, lines):
        """Return what it says until it has ended, is told to stop, or lingers after its answer."""
        words, until, sources, pause = b"", None, [0, self.said], LINGER_SECONDS
        while until is None or monotonic() < until:
            try:
                readable = select.select(sources, [], [], pause)[0]
            except select.error:
                continue
            if 0 in readable:
                if not lines.take() or lines.has_one():
                    break  # the only thing said meanwhile is to stop
            if self.said in readable:
                chunk = os.read(self.said, 1 << 16)
                words += chunk
                if len(words) > 2 * RESULT_BYTES or (not chunk and words):
                    break
                if not chunk:
                    # It closed its way back and may go on: deaf and mute, it still has its time.
                    sources, pause = [0], 0.01
            elif until is None and self.has_ended():
                break
            if until is None and b"\n" in words:
                until = monotonic() + LINGER_SECONDS
        return words

    def has_ended(self):
        """Say whether the process itself has ended, though others may hold its way back open."""
        return state_of(self.pid) in "ZX"

    def end(self):
        """Kill it and whatever it started; return how it ended as waitpid says, and whether anything is left."""
        status, left = None, True
        for _ in range(400):
            try:
                os.kill(-1, signal.SIGKILL)
            except OSError:
                pass
            status, left = collected(self.pid, status)
            if not left:
                break
            time_sleep(0.005)
        os.close(self.said)
        return status, left


def collected(pid, status):
    """Collect the dead; return how `pid` ended, and whether anybody beside this process is left."""
    while True:
        try:
            found, how = os.waitpid(-1, os.WNOHANG)
        except OSError:
            return status, False  # no children, and all orphans become this process's
        if not found:
            return status, True
        if found == pid:
            status = how


def state_of(pid):
    """Return the letter of a process's state; "X" for one that is gone."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as source:
            return source.read().rpartition(b")")[2].split()[0].decode("ascii")
    except (IOError, OSError, IndexError):
        return "X"


def ending_of(status):
    """Return how a child ended, from what waitpid says."""
    if status is None:
        return {"code": None, "signal": None}
    if os.WIFSIGNALED(status):
        return {"code": None, "signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status), "signal": None}


def become_parent():
    """Make this process one that its children cannot steer; False where the system gives no means.

    As the first process of a table of its own it gets no signal of theirs that it does not ask for, not even one that
    kills or stops, and all that they leave behind becomes its own. None of them may look into it.
    """
    if os.getpid() != 1:
        return False
    try:
        keep_apart(False)
    except (ImportError, OSError, AttributeError):
        return False
    for number in range(1, signal.NSIG):
        handler = signal.getsignal(number) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
        if callable(handler):
            HANDLED[number] = handler
            signal.signal(number, signal.SIG_IGN)
    return True


def keep_apart(dumpable):
    """Say whether others of this user may look into this process; raises where the system does not let us choose."""
    import ctypes

    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(dumpable), 0, 0, 0) != 0:
        raise OSError("prctl")


def begin_anew():
    """Make a child what a process of its own would be."""
    for number, handler in HANDLED.items():
        signal.signal(number, handler)
    os.setsid()
    keep_apart(True)
    try:
        # Where memory runs short, the kernel takes the child before its parent.
        with open("/proc/self/oom_score_adj", "w") as target:
            target.write("1000")
    except (IOError, OSError):
        pass
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()

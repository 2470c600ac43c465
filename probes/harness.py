"""Runs one probe in one process and answers on a channel that the snippet cannot garble.

Started by a runner as source text in the namespace of `__main__`, on Python 2.7 or 3.5 to 3.13, with the standard
library alone. The protocol is in probes/README.md.
"""
import gc
import hashlib
import importlib
import json
import linecache
import math
import os
import random
import select
import signal
import sys
import time
import traceback
import types
import warnings

SNIPPET = "snippet.py"
RESULT_BYTES = 1 << 20
# Beyond these a value is told by a stand-in, the same in every Python: from 3.10.7 on a whole number of more than 4,300
# digits has no text, and every reader of a nested value recurses.
INTEGER_BITS = 1024
TEXT_CHARACTERS = 1 << 18
DEEPEST = 24
MESSAGE_CHARACTERS = 2000
WORD_CHARACTERS = 200
LINGER_SECONDS = 1.0
TRACEBACK_LINES = 40
# Names of a snippet's own mistakes: no release of a framework makes a name defined.
OWN_MISTAKES = ("NameError", "UnboundLocalError", "IndentationError", "TabError")
VERSIONED = ("tensorflow", "keras", "torch", "numpy", "tf_keras", "h5py")
TEXT = type(u"")
WHOLE = (int,) if sys.version_info[0] > 2 else (int, long)  # noqa: F821 - a name of Python 2

# Bound before the snippet runs, so that one that freezes or steps the clock does not reach it. Python 2.7 has no
# monotonic clock but the fifth number of os.times().
monotonic = getattr(time, "monotonic", None) or (lambda times=os.times: times()[4])
processor_times = os.times
time_sleep = time.sleep
written = json.JSONEncoder(sort_keys=True).encode


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
            line = line[self._write(self.descriptor, line):]


def channel_to_runner():
    """Return a copy of standard output, which itself becomes standard error."""
    sys.stdout.flush()
    channel = Channel(os.dup(1))
    os.dup2(2, 1)
    return channel


class Lines(object):
    """What the runner says, one JSON object per line; `held` came with the line that brought this program."""

    def __init__(self, held):
        self._held = held

    def next(self):
        """Return the next object, or None when the runner hung up."""
        while b"\n" not in self._held:
            if not self.take():
                return None
        line, _, self._held = self._held.partition(b"\n")
        return json.loads(line.decode("ascii")) if line.strip() else None

    def has_one(self):
        """Say whether a whole line has come."""
        return b"\n" in self._held

    def take(self):
        """Take what has come; False when no more can come."""
        chunk = os.read(0, 1 << 16)
        self._held += chunk
        return bool(chunk)


def encoded(event):
    """Return an event as JSON, whatever is in it."""
    try:
        return written(plain(event)).encode("ascii")
    except BaseException as error:  # what a value says of itself is the snippet's code, and may try to leave
        reason = "the probe's result cannot be told: %s: %s" % (name_of_exception(type(error)), message_of(error))
        return written({"event": "result", "result": {"kind": "untestable", "message": reason}}).encode("ascii")


def plain(value, depth=0):
    """Return `value` as what JSON can hold; floats that are not finite become "nan", "inf" and "-inf".

    What is too long or too deep to be told becomes a text with its size, and its digest where it has one.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, WHOLE):
        return plain_integer(value)
    if isinstance(value, TEXT):
        return plain_text(value)
    if isinstance(value, float):
        return value if not (math.isnan(value) or math.isinf(value)) else str(value)
    if isinstance(value, bytes):
        return plain_text(value.decode("utf-8", "replace"))
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        if depth >= DEEPEST:
            return "(%s of length %d, nested deeper than %d)" % (type(value).__name__, len(value), DEEPEST)
        if isinstance(value, dict):
            return {name_of(key): plain(item, depth + 1) for key, item in value.items()}
        return [plain(item, depth + 1) for item in value]
    for method in ("tolist", "item"):
        if depth < DEEPEST and hasattr(value, method):
            return plain(getattr(value, method)(), depth + 1)
    return plain_text(text_of(value))


def plain_integer(value):
    """Return a whole number, or what stands in for one that not every Python can write down."""
    bits = abs(value).bit_length()
    if bits <= INTEGER_BITS:
        return value
    return "(integer of %d bits, sha256:%s)" % (bits, hashlib.sha256(("%x" % value).encode("ascii")).hexdigest())


def plain_text(value):
    """Return a text, or the head of one without measure with what stands in for the rest."""
    if len(value) <= TEXT_CHARACTERS:
        return value
    every = value.encode("utf-8", "surrogatepass" if sys.version_info[0] > 2 else "strict")
    return u"%s (%d characters, sha256:%s)" % (value[:200], len(value), hashlib.sha256(every).hexdigest())


def name_of(key):
    """Return a key of a mapping as text."""
    return plain_text(key if isinstance(key, TEXT) else text_of(key))


def text_of(value):
    """Return what a value says of itself, or its type where it says nothing."""
    try:
        return u"%s" % (value,)
    except BaseException:
        return u"(%s without a text)" % type(value).__name__


class Context(object):
    """What a probe is given."""

    Untestable = Untestable
    Refused = Refused
    Raised = Raised
    Stop = Stop

    def __init__(self, framework_name, framework, snippet, parameters):
        self.framework_name = framework_name
        self.framework = framework
        self.version = version_of(framework)
        self.snippet = snippet
        self.parameters = parameters
        self.notes = []
        self.namespace = {}
        self._modules = []  # Python 2 empties a module's namespace once nothing holds the module.

    def note(self, text):
        """Keep a remark for the report: what was stood in for, which data was used."""
        if text not in self.notes:
            self.notes.append(text)

    @staticmethod
    def exc_info():
        """Return what is being handled."""
        return sys.exc_info()

    def described(self, raised):
        """Return what was raised as facts; kind "refused" where it is the snippet's own mistake."""
        return result_of_raised(self, raised.exc_info)

    def set_seed(self, seed):
        """Seed every source of random numbers."""
        set_seed(self, seed)

    def observe(self, function, *args, **kwargs):
        """Call the framework on the snippet's behalf: what it raises is the release's behaviour."""
        try:
            return function(*args, **kwargs)
        except (Untestable, Refused, Raised):
            raise
        except Exception:
            raise Raised(sys.exc_info())

    def execute(self, filename=SNIPPET, **given):
        """Run the snippet as `__main__`, with the given names in it, and return its namespace.

        A `Stop` passes through. `SystemExit` is passed on for the probe to judge.
        """
        code = self._compiled(filename)
        module = types.ModuleType("__main__")
        module.__file__ = filename
        module.__dict__.update(given)
        self._modules.append(module)
        self.namespace = module.__dict__
        former = sys.modules["__main__"], sys.argv
        sys.modules["__main__"], sys.argv = module, [filename]
        try:
            exec(code, module.__dict__)
        except (Stop, SystemExit, Untestable, Refused, Raised):
            raise
        except BaseException:
            raise Raised(sys.exc_info())
        finally:
            sys.modules["__main__"], sys.argv = former
        return module.__dict__

    def _compiled(self, filename):
        # Functions of the snippet must have a source for inspect: AutoGraph reads it.
        lines = self.snippet.splitlines(True)
        linecache.cache[filename] = (len(self.snippet), None, lines, filename)
        source = self.snippet
        if sys.version_info[0] == 2:
            source = b"\xef\xbb\xbf" + source.encode("utf-8")
        try:
            return compile(source, filename, "exec", 0, True)
        except SyntaxError as error:
            where = (error.lineno,) + sys.version_info[:2] + (error.msg,)
            raise Untestable("line %s is not Python %d.%d, which this release runs on: %s" % where)


def is_line(found):
    """Say whether something is the number of a line."""
    return isinstance(found, int) and not isinstance(found, bool) and 0 < found < 1 << 31


def version_of(module):
    """Return a module's version, or an empty text."""
    found = getattr(module, "__version__", "")
    return found[:WORD_CHARACTERS] if isinstance(found, (str, TEXT)) else ""


def described(exc_info):
    """Return what was raised as facts: name, message, traceback, line of the snippet, who raised it."""
    kind, error, trail = exc_info
    frames = traceback.extract_tb(trail)
    own = [frame for frame in frames if frame[0] == SNIPPET]
    if len(frames) > 0 and own:
        frames = frames[frames.index(own[0]):]
    lines = "".join(traceback.format_list(frames) + last_lines(kind, error)).splitlines()
    origin = "snippet" if frames and frames[-1][0] == SNIPPET else "framework"
    return {
        "kind": "raised",
        "exception": name_of_exception(kind),
        "message": message_of(error),
        "traceback": "\n".join(lines[-TRACEBACK_LINES:]),
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
    return name if name[:1].isalpha() else "_" + name[:WORD_CHARACTERS - 1]


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


def set_execution(context, wanted):
    """Let TensorFlow compute eagerly or by graph, before anything else is done with it."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        raise Untestable("%s runs without TensorFlow, so there is no %s execution to choose" % (
            context.framework_name or "this probe", wanted))
    one = getattr(getattr(tensorflow, "compat", None), "v1", tensorflow)
    if wanted == "graph":
        use_graph(tensorflow, one)
        return
    switch = getattr(one, "enable_eager_execution", None) or getattr(tensorflow, "enable_eager_execution", None)
    if switch is None:
        raise Untestable("TensorFlow %s has no eager execution" % version_of(tensorflow))
    switch()
    if "optimizer_v2" not in str(getattr(tensorflow.keras.optimizers.SGD, "__module__", "")) and hasattr(one, "train"):
        take_native_optimizers(context, tensorflow, one.train)


def use_graph(tensorflow, one):
    """Switch eager execution off where it is on."""
    if not getattr(tensorflow, "executing_eagerly", bool)():
        return
    if not hasattr(tensorflow.keras.backend, "set_learning_phase"):
        raise Untestable("Keras 3 has no graph execution")
    one.disable_eager_execution()


def take_native_optimizers(context, tensorflow, train):
    """Let compile take Keras' own optimizers: under eager execution TensorFlow up to 1.13 wants those of tf.train."""
    keras = tensorflow.keras
    native = {"SGD": "GradientDescentOptimizer", "Adam": "AdamOptimizer", "RMSprop": "RMSPropOptimizer",
              "Adagrad": "AdagradOptimizer", "Adadelta": "AdadeltaOptimizer"}
    original = keras.Model.compile

    def compile(model, optimizer, *args, **kwargs):
        own = optimizer
        if isinstance(own, (str, TEXT)):
            own = keras.optimizers.get(own)
        name = native.get(type(own).__name__)
        if name is not None and hasattr(own, "lr"):
            optimizer = getattr(train, name)(float(keras.backend.get_value(own.lr)))
            context.note("eager execution: tf.train.%s stands in for Keras' own optimizer" % name)
        return original(model, optimizer, *args, **kwargs)

    keras.Model.compile = compile


def set_seed(context, seed):
    """Seed every source of random numbers that the framework has."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    framework = context.framework
    for path in ("random.set_seed", "set_random_seed", "manual_seed"):
        found = framework
        for name in path.split("."):
            found = getattr(found, name, None)
        if found is not None:
            found(seed)
            return


def answer(context, probe_source):
    """Run the probe and return its one result."""
    namespace = {"__name__": "probe"}
    try:
        if context.parameters.get("execution"):
            set_execution(context, context.parameters["execution"])
        if context.parameters.get("seed"):
            set_seed(context, context.parameters["seed"])
        exec(compile(probe_source, "probe.py", "exec", 0, True), namespace)
        measurements = namespace["run"](context)
        if not isinstance(measurements, dict):
            raise TypeError("run returned %s, not a dict" % type(measurements).__name__)
        return {"kind": "measured", "measurements": measurements}
    except Untestable as error:
        return {"kind": "untestable", "message": message_of(error)}
    except Refused as error:
        return {"kind": "refused", "message": message_of(error), "line": error.line if is_line(error.line) else None}
    except Raised as error:
        return result_of_raised(context, error.exc_info)
    except BaseException:
        facts = described(sys.exc_info())
        reason = "the probe itself failed: %s: %s" % (facts["exception"], facts["message"])
        return {"kind": "untestable", "message": reason, "traceback": facts["traceback"]}


def imported(name):
    """Import the framework, its Keras included, as a snippet's first lines would."""
    # An import makes hundreds of thousands of objects that stay: looking through them again and again for what can go
    # takes a tenth of its time, and in a child it would copy every page that it looks at.
    sets_aside = hasattr(gc, "freeze")
    if sets_aside:
        gc.disable()
    try:
        module = importlib.import_module(name)
        if name == "tensorflow":
            # From 2.16 on Keras is loaded at the first touch: it belongs to the import, not to the probe.
            getattr(getattr(module, "keras", None), "layers", None)
        return module
    finally:
        if sets_aside:
            gc.freeze()
            gc.enable()


def device_of(name, module):
    """Return what the framework computes on: "cpu" or the accelerator's name."""
    if not any(os.path.exists(path) for path in ("/dev/nvidia0", "/dev/dxg", "/dev/kfd")):
        return "cpu"
    try:
        if name == "torch":
            return module.cuda.get_device_name(0) if module.cuda.is_available() else "cpu"
        found = module.test.gpu_device_name() if name == "tensorflow" else ""
        return (found or "cpu")[:WORD_CHARACTERS]
    except Exception:
        return "cpu"


def versions():
    """Return the versions of what is loaded and matters."""
    found = {name: version_of(sys.modules.get(name)) for name in VERSIONED}
    return {name: version for name, version in found.items() if version}


def cpu_seconds():
    """Return the processor time of this process so far, all its threads together."""
    return sum(processor_times()[:2])


def ready(channel, name, word):
    """Import the framework ahead of need and say so; None when the import failed and the answer is given.

    With a word for the marks on standard error, answers come from children where the system lets them.
    """
    began, began_cpu = monotonic(), cpu_seconds()
    try:
        module = imported(name) if name else None
    except (Exception, SystemExit) as error:
        reason = "cannot import %s: %s: %s" % (name, type(error).__name__, message_of(error))
        channel.send({"event": "result", "result": {"kind": "untestable", "message": reason}, "probe_seconds": 0.0})
        return None
    forks = bool(word) and become_parent()
    if forks:
        flush()
        mark(word)
    channel.send({
        "event": "ready", "forks": forks,
        "import_seconds": monotonic() - began, "import_cpu_seconds": cpu_seconds() - began_cpu,
        "framework": name, "version": version_of(module),
        "python": "%d.%d.%d" % sys.version_info[:3], "device": device_of(name, module) if name else "cpu",
        "memory_bytes": own_memory_bytes(),
    })
    return module, forks


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


def respond(channel, name, framework, request):
    """Answer one question of the runner."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    began, began_cpu = monotonic(), cpu_seconds()
    random.seed(0)
    context = Context(name, framework, request["snippet"], request.get("parameters") or {})
    result = answer(context, request["probe"])
    event = {"event": "result", "result": result, "probe_seconds": monotonic() - began, "packages": versions()}
    event["probe_cpu_seconds"] = cpu_seconds() - began_cpu
    if context.notes:
        event["notes"] = context.notes
        if isinstance(result.get("measurements"), dict):
            result["measurements"].setdefault("notes", context.notes)
    flush()
    channel.send(event)


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
        question = {name: request[name] for name in ("probe", "snippet", "parameters") if name in request}
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


PR_SET_DUMPABLE = 4
HANDLED = {}


def keep_apart(dumpable):
    """Say whether others of this user may look into this process; raises where the system does not let us choose."""
    import ctypes

    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(dumpable), 0, 0, 0) != 0:
        raise OSError("prctl")


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


def surroundings(folders):
    """Return all that a child could have changed for those that come after it, by name."""
    import fcntl
    import resource

    found = {"limits": [resource.getrlimit(number) for number in range(16)]}
    found["flags"] = [(fcntl.fcntl(each, fcntl.F_GETFL), pipe_bytes(each)) for each in (1, 2)]
    found["priority"] = os.nice(0)
    for name in ("sched_getaffinity", "sched_getscheduler"):
        if hasattr(os, name):
            found[name] = getattr(os, name)(0)
    for name in ("sysvipc/msg", "sysvipc/sem", "sysvipc/shm", "net/tcp", "net/tcp6", "self/oom_score_adj"):
        found[name] = text_in("/proc/" + name)
    mine = "%d:" % os.getuid()
    found["keys"] = [line for line in text_in("/proc/key-users").splitlines() if line.split()[:1] == [mine]]
    status = text_in("/proc/self/status").splitlines()
    names = ("TracerPid:", "SigBlk:", "SigIgn:", "SigCgt:", "Cpus_allowed:", "NoNewPrivs:", "Seccomp:")
    found["status"] = [line for line in status if line.startswith(names)]
    found["files"] = sorted(path for folder in folders + ["/dev/mqueue"] for path in inside(folder))
    return found


def inside(folder):
    """Return what a folder holds, parents first, without other file systems that are mounted below it.

    Folders are made readable on the way: what a child hid is found.
    """
    found, device = [], os.lstat(folder).st_dev if os.path.isdir(folder) else None
    for path, inner, files in os.walk(folder):
        inner[:] = [each for each in inner if os.lstat(os.path.join(path, each)).st_dev == device]
        for each in inner:
            try:
                os.chmod(os.path.join(path, each), 0o700)
            except OSError:
                pass  # not ours
        found.extend(os.path.join(path, each) for each in inner + files)
    return found


def pipe_bytes(descriptor):
    """Return how much a pipe holds; None for what is no pipe."""
    import fcntl

    try:
        return fcntl.fcntl(descriptor, 1032)  # F_GETPIPE_SZ, which the module does not name before Python 3.10
    except (IOError, OSError):
        return None


def text_in(path):
    """Return a file's text; "" where it cannot be read."""
    try:
        with open(path, "rb") as source:
            return source.read().decode("utf-8", "replace")
    except (IOError, OSError):
        return ""


def contents(folders):
    """Return the files that an import left, by path, None for a folder; Keras writes a configuration, for one."""
    found = []
    for path in (path for folder in folders for path in inside(folder)):
        if os.path.isdir(path):
            found.append((path, None))
        elif os.path.isfile(path):
            with open(path, "rb") as source:
                found.append((path, source.read()))
    return found


def restore(folders, found):
    """Bring folders back to what they held, as far as a child lets us: what differs is found in the surroundings."""
    for path in (path for folder in folders for path in reversed(inside(folder))):
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            else:
                os.remove(path)
        except OSError:
            pass
    for path, words in found:
        try:
            if words is None:
                os.mkdir(path)
            else:
                with open(path, "wb") as target:
                    target.write(words)
        except (IOError, OSError):
            pass


def memory_kills():
    """Return how often the kernel ended a process of this container for want of memory; None where it does not say."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        for line in text_in(path).splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def own_memory_bytes():
    """Return the memory that this process has for itself; 0 where the system does not say."""
    for line in text_in("/proc/self/status").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


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


def ending_of(status):
    """Return how a child ended, from what waitpid says."""
    if status is None:
        return {"code": None, "signal": None}
    if os.WIFSIGNALED(status):
        return {"code": None, "signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status), "signal": None}


def mark(word):
    """Say on standard error that all printing up to here is of one question, or of the import."""
    try:
        Channel(2).send_bytes(b"\0" + word.encode("ascii") + b"\0")
    except OSError:
        pass  # a child made the stream one that does not wait: without its mark the runner ends this process


def main(held):
    channel = channel_to_runner()
    lines = Lines(held)
    opening = lines.next()
    if opening is None:
        return
    name = opening.get("framework") or ""
    framework = ready(channel, name, opening.get("id"))
    if framework is None:
        return
    if framework[1]:
        serve(channel, lines, name, framework[0], opening["folders"])
        return
    request = lines.next()
    if request is not None:
        respond(channel, name, framework[0], request)


if __name__ == "__main__":
    try:
        main(globals().get("held", b""))
    except BaseException:
        traceback.print_exc()
        leave(70)
    leave(0)

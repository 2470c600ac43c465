"""Runs one probe in one process and answers on a channel that the snippet cannot garble.

Started by a runner as source text in the namespace of `__main__`, on Python 2.7 or 3.5 to 3.13, with the standard
library alone. The protocol is in probes/README.md.
"""
import hashlib
import importlib
import json
import linecache
import math
import os
import random
import sys
import time
import traceback
import types

SNIPPET = "snippet.py"
RESULT_BYTES = 1 << 20
# Beyond these a value is told by a stand-in, the same in every Python: from 3.10.7 on a whole number of more than 4,300
# digits has no text, and every reader of a nested value recurses.
INTEGER_BITS = 1024
TEXT_CHARACTERS = 1 << 18
DEEPEST = 24
MESSAGE_CHARACTERS = 2000
WORD_CHARACTERS = 200
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
    """The way back to the runner: a copy of standard output, which itself becomes standard error."""

    def __init__(self):
        sys.stdout.flush()
        self._descriptor = os.dup(1)
        self._write = os.write
        os.dup2(2, 1)

    def send(self, event):
        line = encoded(event)
        if len(line) > RESULT_BYTES:
            reason = "the probe's result has %d bytes, more than %d" % (len(line), RESULT_BYTES)
            line = encoded({"event": "result", "result": {"kind": "untestable", "message": reason}})
        line += b"\n"
        while line:
            line = line[self._write(self._descriptor, line):]


def encoded(event):
    """Return an event as JSON, whatever is in it."""
    try:
        return written(plain(event)).encode("ascii")
    except Exception as error:
        reason = "the probe's result cannot be told: %s: %s" % (type(error).__name__, message_of(error))
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
            return "(%s of %d items, nested deeper than %d)" % (type(value).__name__, len(value), DEEPEST)
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
    except Exception:
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
            raise Untestable("line %s is no Python %d.%d, which this release runs on: %s" % where)


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
    lines = "".join(traceback.format_list(frames) + traceback.format_exception_only(kind, error)).splitlines()
    origin = "snippet" if frames and frames[-1][0] == SNIPPET else "framework"
    return {
        "kind": "raised",
        "exception": name_of_exception(kind),
        "message": message_of(error),
        "traceback": "\n".join(lines[-TRACEBACK_LINES:]),
        "line": own[-1][1] if own else None,
        "origin": origin,
    }


def name_of_exception(kind):
    """Return the name of an exception's class as one word: type() takes any text for a name."""
    name = "".join(letter if letter.isalpha() or letter in "_.0123456789" else "_" for letter in str(kind.__name__))
    return name[:WORD_CHARACTERS] if name[:1].isalpha() else "_" + name[:WORD_CHARACTERS - 1]


def message_of(error):
    """Return an exception's message, whatever its __str__ does."""
    try:
        return str(error)[:MESSAGE_CHARACTERS]
    except Exception:
        return repr(type(error))


def result_of_raised(context, exc_info):
    """Say whether what was raised is the snippet's own mistake or a behaviour of the release."""
    facts = described(exc_info)
    name = getattr(exc_info[1], "name", None) or facts["message"].split("named ")[-1].strip("'\"")
    missing = str(name).split(".")[0]
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
    except (Exception, Stop, SystemExit):
        facts = described(sys.exc_info())
        reason = "the probe itself failed: %s: %s" % (facts["exception"], facts["message"])
        return {"kind": "untestable", "message": reason, "traceback": facts["traceback"]}


def imported(name):
    """Import the framework, its Keras included, as a snippet's first lines would."""
    module = importlib.import_module(name)
    if name == "tensorflow":
        # From 2.16 on Keras is loaded at the first touch: it belongs to the import, not to the probe.
        getattr(getattr(module, "keras", None), "layers", None)
    return module


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


def ready(channel, name):
    """Import the framework ahead of need and say so; None when the import failed and the answer is given."""
    began, began_cpu = monotonic(), cpu_seconds()
    try:
        module = imported(name) if name else None
    except (Exception, SystemExit) as error:
        reason = "cannot import %s: %s: %s" % (name, type(error).__name__, message_of(error))
        channel.send({"event": "result", "result": {"kind": "untestable", "message": reason}, "probe_seconds": 0.0})
        return None
    channel.send({
        "event": "ready", "import_seconds": monotonic() - began, "import_cpu_seconds": cpu_seconds() - began_cpu,
        "framework": name, "version": version_of(module),
        "python": "%d.%d.%d" % sys.version_info[:3], "device": device_of(name, module) if name else "cpu",
    })
    return (module,)


def leave(status):
    """End at once: a framework's own tear-down may hang or crash, and says nothing about the snippet."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(status)


def next_line():
    """Return the runner's next JSON object, or None when it hung up."""
    line = sys.stdin.readline()
    return json.loads(line) if line.strip() else None


def main():
    channel = Channel()
    opening = next_line()
    if opening is None:
        return
    framework = ready(channel, opening.get("framework") or "")
    if framework is None:
        return
    request = next_line()
    if request is None:
        return
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    began, began_cpu = monotonic(), cpu_seconds()
    random.seed(0)
    context = Context(opening.get("framework") or "", framework[0], request["snippet"], request.get("parameters") or {})
    result = answer(context, request["probe"])
    event = {"event": "result", "result": result, "probe_seconds": monotonic() - began, "packages": versions()}
    event["probe_cpu_seconds"] = cpu_seconds() - began_cpu
    if context.notes:
        event["notes"] = context.notes
        if isinstance(result.get("measurements"), dict):
            result["measurements"].setdefault("notes", context.notes)
    channel.send(event)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
        leave(70)
    leave(0)

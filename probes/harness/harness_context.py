"""What a probe is given, and the one result of a run."""

import linecache
import sys
import types

from harness_execution import set_execution, set_seed, version_of
from harness_faults import SNIPPET, Raised, Refused, Stop, Untestable, described, is_line, message_of, result_of_raised
from harness_files import argument_of, enter, lay_out


class Context(object):
    """What a probe is given."""

    Untestable = Untestable
    Refused = Refused
    Raised = Raised
    Stop = Stop

    def __init__(self, framework_name, framework, snippet, parameters, files=None):
        self.framework_name = framework_name
        self.framework = framework
        self.version = version_of(framework)
        self.snippet = snippet
        self.parameters = parameters
        self.files = files or {}
        """What lies in the working folder: path -> content, compressed and in Base64."""
        self.arguments = [argument_of(each) for each in parameters.get("arguments") or []]
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

    def lay_out_files(self):
        """Make the files that came with the question, and work in their folder from now on."""
        if self.files:
            try:
                enter(lay_out(self.files), self.parameters.get("script") or "")
            except (IOError, OSError) as error:
                raise Untestable("cannot lay out the files in the working folder: %s" % error)

    def execute(self, filename=SNIPPET, **given):
        """Run the snippet as `__main__`, with the given names in it, and return its namespace.

        A `Stop` passes through. `SystemExit` is passed on for the probe to judge.
        """
        code = self._compiled(filename)
        module = types.ModuleType("__main__")
        module.__file__ = self.parameters.get("script") or filename
        module.__dict__.update(given)
        self._modules.append(module)
        self.namespace = module.__dict__
        former = sys.modules["__main__"], sys.argv
        sys.modules["__main__"], sys.argv = module, [module.__file__] + self.arguments
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


def answer(context, probe_source):
    """Run the probe and return its one result."""
    namespace = {"__name__": "probe"}
    try:
        context.lay_out_files()
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

"""What does this script do? Everything that one run of it shows, as it is pasted.

It runs as anybody would run it, watched from outside; then the models that it made are looked at. No part of what is
measured here says what is right: that is for whoever compares releases.
"""

import sys

from tfbisect_clock import Clock
from tfbisect_exits import exit_code
from tfbisect_listening import Listening
from tfbisect_seeds import Seeded
from tfbisect_streams import Stream
from tfbisect_told import told, within

MOST_REPORTED = 1000
# Of the parts of a result, which has 1 MiB: what is printed comes to 300,000 at most.
MOST_BYTES = {"reported": 150000, "warned": 150000, "calls": 200000, "models": 150000}


def run(context):
    return Run(context).measured()


class Run(object):
    def __init__(self, context):
        self._context = context
        self._clock = Clock()
        self._seed = context.parameters.get("seed") or 1
        self._seen = {"parameters": dict(context.parameters), "exit_code": 0, "raised": None, "reported": []}
        self._watch = None
        self._modules = keras_of(context)

    def measured(self):
        with Seeded(self._seed):
            with self._clock.step("script"):
                self._script()
            self._seen["memory_bytes"] = peak_bytes()
            if self._watch is not None:
                with self._clock.step("models"):
                    self._look()
        for name, most in MOST_BYTES.items():
            found = self._seen.get(name, [])
            kept = within(most, found)
            if len(kept) < len(found):
                self._context.note("%s: %d of %d were kept" % (name, len(kept), len(found)))
            if name in self._seen:
                self._seen[name] = kept
        self._seen["seconds"], self._seen["cpu_seconds"] = self._clock.seconds, self._clock.cpu_seconds
        return self._seen

    def _script(self):
        seen, stream, listening = self._seen, Stream(), Listening()
        try:
            with listening:
                self._execute()
        except SystemExit as error:
            seen["exit_code"] = exit_code(error.code)
        except self._context.Raised as error:
            seen["raised"] = self._context.described(error)
            if seen["raised"]["kind"] == "refused":
                raise
        finally:
            with self._clock.step("prints"):
                seen["printed"] = stream.taken()
        seen["warned"] = listening.heard

    def _execute(self):
        report = self._report
        if self._modules is None:
            self._context.execute(tfbisect_report=report)
            return
        from tfbisect_datasets import answer_datasets
        from tfbisect_takeover import StandInFinder
        from tfbisect_watching import Watch

        answer_datasets(self._context, self._modules)
        sys.meta_path.append(StandInFinder(self._context))
        self._watch = Watch(self._context, self._modules, self._context.parameters.get("whole"), self._clock)
        with self._watch:
            self._context.execute(tfbisect_report=report)

    def _report(self, name, value):
        if len(self._seen["reported"]) < MOST_REPORTED:
            self._seen["reported"].append([str(name)[:200], told(value)])

    def _look(self):
        from tfbisect_defined import defined, train_on_made
        from tfbisect_looking import look

        seen, models = self._seen, list(self._watch.models)
        if seen["raised"] is None and not any(call["call"] != "predict" for call in self._watch.calls):
            found = defined(self._context, self._watch)
            if found is not None:
                models = [found]
                with self._watch:
                    train_on_made(self._context, found, self._modules)
        seen["calls"] = self._watch.calls
        seen["models"] = [look(self._context, model, self._modules, self._clock) for model in models]


def keras_of(context):
    """Return the Keras modules that a snippet can reach; None where it is about something else."""
    if context.framework_name not in ("tensorflow", "keras"):
        return None
    load_with_framework()  # noqa: F821 - stands in front of this text, with the modules that it makes
    from tfbisect_keras import keras_modules

    try:
        return keras_modules(context)
    except context.Untestable:
        return None


def peak_bytes():
    """Return the most memory that this process ever had; 0 where the system does not say."""
    try:
        with open("/proc/self/status") as source:
            for line in source:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (IOError, OSError):
        pass
    return 0

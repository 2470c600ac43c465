"""Takes over at a script's first model.fit, or takes the model that a snippet defines."""

import importlib
import sys
import time
import types

from tfbisect_clock import cpu_seconds
from tfbisect_datasets import answer_datasets
from tfbisect_keras import keras_modules, model_classes
from tfbisect_layers import names_of, walk

TRAINING = ("fit", "fit_generator", "train_on_batch")
COMPILE_ORDER = ("optimizer", "loss", "metrics", "loss_weights")
# Plots and notebooks have no part in what is measured.
STAND_INS = ("matplotlib", "pylab", "seaborn", "plotly", "IPython")


class Subject(object):
    """The model under test, as the snippet made it and before anything has called it."""

    def __init__(self, model, taken_at, compiled, x=None, y=None, weights=None, batch_size=None):
        self.model = model
        self.taken_at = taken_at
        """fit, fit_generator, train_on_batch, model or build_model."""
        self.compiled = compiled
        """What the snippet gave to compile, by name; None when it did not compile."""
        self.x, self.y, self.weights, self.batch_size = x, y, weights, batch_size
        self.script_seconds = (0.0, 0.0)
        """How long the snippet ran until it was stopped: by the clock, and of the processor."""
        self.rebuild = None
        """Makes the model anew the way the snippet did."""
        self.configuration = configuration_of(model)
        """Read before the first call: a called model has another one. None where there is none."""

    @property
    def has_data(self):
        return self.x is not None


class TakeOver(object):
    """Runs a snippet and hands the model under test to `measure`, inside the snippet's own stack.

    Inside, so that the session, graph, device or strategy that the script opened is still open.
    """

    def __init__(self, context, measure):
        self.context = context
        self.modules = keras_modules(context)
        self._measure = measure
        self._compiled = {}
        self._kept = []
        self._busy = False
        self._ending = None
        self._began = (0.0, 0.0)

    def run(self):
        """Return what `measure` answered; raises what it raised."""
        answer_datasets(self.context, self.modules)
        sys.meta_path.append(StandInFinder(self.context))
        self._patch()
        self._began = time.time(), cpu_seconds()
        try:
            namespace = self.context.execute()
        except self.context.Stop:
            namespace = None
        except SystemExit:
            namespace = self.context.namespace
        if self._ending is None:
            self._measured(self._defined(namespace))
        kind, value = self._ending
        if kind == "raised":
            raise value[1]
        return value

    def _patch(self):
        for klass in model_classes(self.modules):
            for name in TRAINING:
                if name in klass.__dict__:
                    setattr(klass, name, self._training(name, klass.__dict__[name]))
            if "compile" in klass.__dict__:
                klass.compile = self._compile(klass.__dict__["compile"])

    def _training(self, name, original):
        def taken_over(model, *args, **kwargs):
            if self._busy:
                return original(model, *args, **kwargs)
            self._measured(self._subject(name, model, args, kwargs))
            raise self.context.Stop

        return taken_over

    def _compile(self, original):
        def compile(model, *args, **kwargs):
            if not self._busy:
                given = dict(zip(COMPILE_ORDER, args))
                given.update(kwargs)
                self._compiled[id(model)] = given
                self._kept.append(model)  # While it lives, no other model gets its id.
            return original(model, *args, **kwargs)

        return compile

    def _subject(self, name, model, args, kwargs):
        order = {
            "fit": ("x", "y", "batch_size"),
            "train_on_batch": ("x", "y", "sample_weight"),
            "fit_generator": ("generator",),
        }[name]
        given = dict(zip(order, args))
        given.update(kwargs)
        x = given.get("x", given.get("generator"))
        if x is None:
            raise self.context.Refused("model.%s was called without training data" % name)
        subject = Subject(
            model,
            name,
            self._compiled.get(id(model)),
            x,
            given.get("y"),
            given.get("sample_weight"),
            given.get("batch_size"),
        )
        subject.rebuild = self._again
        return subject

    def _defined(self, namespace):
        """Return the model that a snippet without training defines."""
        build = namespace.get("build_model")
        model = self.context.observe(build) if callable(build) else namespace.get("model")
        if model is None:
            raise self.context.Refused(no_model(namespace))
        if "Model" not in names_of(model) or not hasattr(model, "fit"):
            raise self.context.Refused("`model` is a %s; a Keras model is needed" % type(model).__name__)
        name = "build_model" if callable(build) else "model"
        subject = Subject(model, name, self._compiled.get(id(model)))
        subject.rebuild = build if callable(build) else self._again
        return subject

    def _measured(self, subject):
        self._busy = True
        subject.script_seconds = time.time() - self._began[0], cpu_seconds() - self._began[1]
        try:
            self._ending = ("value", self._measure(self.context, subject, self.modules))
        except BaseException:
            self._ending = ("raised", sys.exc_info())

    def _again(self):
        """Run the snippet once more up to the same place and return that model."""
        caught = []

        def caught_here(model, *args, **kwargs):
            caught.append(model)
            raise self.context.Stop

        former = [
            (klass, method, klass.__dict__[method])
            for klass in model_classes(self.modules)
            for method in TRAINING
            if method in klass.__dict__
        ]
        for klass, method, _ in former:
            setattr(klass, method, caught_here)
        try:
            namespace = self.context.execute()
            return namespace.get("model")
        except (self.context.Stop, SystemExit):
            return caught[0] if caught else self.context.namespace.get("model")
        finally:
            for klass, method, original in former:
                setattr(klass, method, original)


def no_model(namespace):
    """Say what a snippet without a model should do."""
    others = sorted(name for name, value in namespace.items() if "Model" in names_of(value) and hasattr(value, "fit"))
    found = "; found one named %s" % others[0] if others else ""
    return "no model.fit was reached and there is no `model` and no build_model()%s" % found


def configuration_of(model):
    """Return what makes a twin of a model that nothing has called yet, or None."""
    try:
        return model.get_config()
    except Exception:
        return None  # Subclassed models have none.


def twin_of(subject):
    """Return a second model like the one under test, which nothing has called yet.

    From the configuration where the model has one, else by making it anew the way the snippet did.
    """
    if subject.taken_at != "build_model" and subject.configuration is not None:
        try:
            twin = type(subject.model).from_config(subject.configuration, custom_objects=own_objects(subject.model))
        except Exception:
            twin = None  # Lambda layers and layers of one's own may not come back from a configuration.
        if twin is not None and len(walk(twin)) > 0:
            return twin
    return subject.rebuild()


def own_objects(model):
    """Return the classes and functions by name that a model's configuration may refer to."""
    found = {}
    for layer in walk(model):
        found[type(layer).__name__] = type(layer)
        for value in vars(layer).values():
            if isinstance(value, types.FunctionType):
                found.setdefault(value.__name__, value)
    return found


class StandIn(types.ModuleType):
    """Takes the place of a plotting library: everything in it can be called and does nothing."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)

    def __call__(self, *args, **kwargs):
        if self.__name__ == "subplots":
            return StandIn("figure"), StandIn("axes")
        return StandIn("nothing")

    def __getitem__(self, index):
        return StandIn("item")

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        return False


class StandInFinder(object):
    """Finds stand-ins for plotting libraries that are not installed."""

    def __init__(self, context):
        self._context = context

    def find_module(self, name, path=None):
        return self if name.split(".")[0] in STAND_INS else None

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in STAND_INS:
            return None
        machinery = importlib.import_module("importlib.machinery")
        return machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return self.load_module(spec.name)

    def exec_module(self, module):
        pass

    def load_module(self, name):
        self._context.note("%s is not installed: a stand-in that draws nothing took its place" % name.split(".")[0])
        module = StandIn(name)
        sys.modules[name] = module
        return module

"""The controls of the dropout probe: what its losses must do without dropout, and with a rate near 1.

They come after the model's own calls and take as few calls as their question allows. Losses that vary without any
dropout are moved by something else. Losses that stay, although nearly all is dropped, do not depend on dropout; losses
of the model's own that vary have shown already that they do.
"""

from tfbisect_keras import eagerly
from tfbisect_layers import NEAR_ONE, MadeWithStrength, WithStrength, dropping
from tfbisect_losses import compile_still
from tfbisect_takeover import twin_of

CALLS = 3
# Sums in another order differ in the last digits of a 32-bit float; the judge has the same number.
ROUNDING = 1e-5


def controls(context, subject, modules, batch, loss, seen):
    """Return the losses of the controls that the model's own losses call for; or why there are none."""
    measured = Eager if eagerly(type(subject.model)) else Graph
    try:
        return asked(measured(subject, modules, batch, loss), seen)
    except Exception as error:
        cause = error.exc_info[1] if isinstance(error, context.Raised) else error
        return {"control_failed": "%s: %s" % (type(cause).__name__, cause)}


def asked(control, seen):
    trained, evaluated = seen["train_losses"] + seen["batch_losses"], seen["evaluate_losses"]
    found = {}
    if stay(seen["train_losses"]) and stay(seen["batch_losses"]) and stay(evaluated):
        if not stay(trained + evaluated):
            # Batch normalisation, or the same mask each time: what is the distance without dropout?
            found["zero_rate_losses"], found["zero_rate_evaluate_losses"] = control.apart()
        found["near_one_losses"] = control.losses(NEAR_ONE)
    else:
        found["zero_rate_losses"] = control.losses(0.0)
    return found


def stay(losses):
    """Say whether losses are the same, but for rounding."""
    return max(losses) - min(losses) <= ROUNDING * max(abs(loss) for loss in losses)


class Eager(object):
    """Steps of the model under test itself, whose rates count anew in each of them."""

    def __init__(self, subject, modules, batch, loss):
        self._model, self._batch = subject.model, batch
        # A few steps would not pay for being compiled. Before 2.0 an eager model is never compiled.
        more = {"run_eagerly": True} if hasattr(type(subject.model), "run_eagerly") else {}
        compile_still(subject.model, modules[0], loss, subject.compiled, **more)

    def losses(self, rate):
        with WithStrength(self._model, rate):
            return self._batch.trained(self._model, CALLS)

    def apart(self):
        with WithStrength(self._model, 0.0):
            return self._batch.trained(self._model, CALLS), self._batch.evaluated(self._model, 1)


class Graph(object):
    """Twins of the model under test, since a graph keeps the rates that it was built with."""

    def __init__(self, subject, modules, batch, loss):
        self._subject, self._modules, self._batch, self._loss = subject, modules, batch, loss
        self._layers = [layer for layer, _, _ in dropping(subject.model)]

    def losses(self, rate):
        # Told from outside that this is training: whether the release itself says so is what is asked. A step of
        # evaluation is then one of training, without the gradients, which cost most.
        tell_training(self._modules)
        twin = self._twin(rate, self._subject.model.optimizer)
        if rate:
            self._batch.tested(twin, 1)  # Builds it, so that it can have the weights of the model it is compared with.
            twin.set_weights(self._subject.model.get_weights())
        return self._batch.tested(twin, CALLS)

    def apart(self):
        twin = self._twin(0.0)
        self._batch.fitted(twin, 1)  # Builds it.
        twin.set_weights(self._subject.model.get_weights())
        return self._batch.fitted(twin, CALLS), self._batch.evaluated(twin, 1)

    def _twin(self, rate, optimizer=None):
        with MadeWithStrength(self._layers, rate):
            twin = twin_of(self._subject)
        compile_still(twin, self._modules[0], self._loss, self._subject.compiled, optimizer)
        return twin


def tell_training(modules):
    """Tell every layer that is built from here on that it is training; this cannot be taken back."""
    for module in modules:
        module.backend.set_learning_phase(True)

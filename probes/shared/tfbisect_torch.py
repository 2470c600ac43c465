"""The dropout probe's measurements on a torch module: one that a snippet defines, or one that a script trains.

A script is taken over at its first `backward`: the module under test is the outermost one called before it that has
dropout layers, on the batch that it was called with. A criterion that is a module is called again; of any other loss
nothing can be known from outside, and the mean squared distance of the outputs from 0.5 takes its place.
"""

from tfbisect_takeover import no_model

SAMPLES = 32
CALLS = 3
REPEATS = 5
NEAR_ONE = 0.999
# Some scripts call modules without ever going backward: their outputs are not kept.
KEPT_CALLS = 16


class Subject(object):
    """A module, how it is called and what its loss is."""

    def __init__(self, module, args, kwargs, criterion=None, targets=()):
        self.module, self._args, self._kwargs = module, args, kwargs
        self._criterion, self._targets = criterion, targets

    def loss(self):
        outputs = self.module(*self._args, **self._kwargs)
        if self._criterion is not None:
            return self._criterion(outputs, *self._targets)
        while isinstance(outputs, (tuple, list)):
            outputs = outputs[0]
        return ((outputs - 0.5) ** 2).mean()


class TorchTakeOver(object):
    """Runs a snippet up to its first `backward`."""

    def __init__(self, context):
        self._context, self._torch = context, context.framework
        self._calls, self._depth, self._subject = [], 0, None

    def run(self):
        """Return (subject, how it was taken)."""
        torch = self._torch
        former = torch.nn.Module.__call__, torch.Tensor.backward
        torch.nn.Module.__call__, torch.Tensor.backward = self._watched(former[0]), self._stopping()
        try:
            namespace = self._context.execute()
        except (self._context.Stop, SystemExit):
            namespace = self._context.namespace
        finally:
            torch.nn.Module.__call__, torch.Tensor.backward = former
        if self._subject is not None:
            return self._subject, "backward"
        return self._defined(namespace), "model"

    def _watched(self, original):
        def call(module, *args, **kwargs):
            self._depth += 1
            try:
                outputs = original(module, *args, **kwargs)
            finally:
                self._depth -= 1
            if self._depth == 0:
                self._calls = self._calls[1 - KEPT_CALLS :] + [(module, args, kwargs, outputs)]
            return outputs

        return call

    def _stopping(self):
        # A function, since a method that is put into a class stays bound to this object.
        def backward(tensor, *args, **kwargs):
            self._subject = self._trained()
            raise self._context.Stop

        return backward

    def _trained(self):
        trained = [call for call in self._calls if dropping(self._torch, call[0])]
        if not trained:
            raise self._context.Refused("backward was reached, and no module that was called has a dropout layer")
        module, given, named, outputs = trained[-1]
        losses = [call for call in self._calls if call[1] and call[1][0] is outputs]
        criterion, targets = (losses[-1][0], losses[-1][1][1:]) if losses else (None, ())
        if criterion is None:
            self._context.note("the script's loss is no torch module: mean squared distance of the outputs from 0.5")
        return Subject(module, detached(given), detached(named), criterion, targets)

    def _defined(self, namespace):
        torch, build = self._torch, namespace.get("build_model")
        model = self._context.observe(build) if callable(build) else namespace.get("model")
        if model is None:
            raise self._context.Refused(no_model(namespace).replace("model.fit", "loss.backward"))
        if not isinstance(model, torch.nn.Module):
            raise self._context.Refused("`model` is a %s; a torch.nn.Module is needed" % type(model).__name__)
        if not dropping(torch, model):
            raise self._context.Refused("the model has no dropout layer with a rate above 0: nothing to probe")
        self._context.note("no training in the snippet: one batch of random numbers, mean squared distance from 0.5")
        return Subject(model, (made_inputs(self._context, torch, model),), {})


def detached(part):
    """Return arguments without the graph that made them: a script goes backward through it only once."""
    if isinstance(part, dict):
        return {name: detached(value) for name, value in part.items()}
    if isinstance(part, (tuple, list)):
        return type(part)([detached(value) for value in part])
    return part.detach() if hasattr(part, "detach") else part


def measure_torch(context):
    """Return the losses of the torch module under test."""
    torch = context.framework
    subject, taken_at = TorchTakeOver(context).run()
    layers = dropping(torch, subject.module)
    seen = {
        "model": "torch module",
        "taken_at": taken_at,
        "layers": [described(*layer) for layer in layers],
    }
    seen.update(context.observe(losses, torch, subject))
    with WithRate(layers, 0.0):
        seen["zero_rate_losses"] = trained(torch, subject)
        seen["zero_rate_evaluate_losses"] = evaluated(torch, subject)
    with WithRate(layers, NEAR_ONE):
        seen["near_one_losses"] = trained(torch, subject)
    seen["shares"] = [share(torch, *layer) for layer in layers[:3] if layer[2] == "p"]
    return seen


def dropping(torch, model):
    """Return a module's dropout layers: [(name, layer, attribute)], rates above 0 only."""
    found = []
    for name, layer in model.named_modules():
        if "Dropout" in type(layer).__name__ and getattr(layer, "p", 0) > 0:
            found.append((name or "model", layer, "p"))
        elif isinstance(layer, torch.nn.RNNBase) and layer.dropout > 0 and layer.num_layers > 1:
            found.append((name or "model", layer, "dropout"))
    return found


def described(name, layer, attribute):
    return {"name": name, "class": type(layer).__name__, "attribute": attribute, "rate": getattr(layer, attribute)}


class WithRate(object):
    """While it lasts, dropout layers have one rate."""

    def __init__(self, layers, rate):
        self._former = [(layer, attribute, getattr(layer, attribute)) for _, layer, attribute in layers]
        self._rate = rate

    def __enter__(self):
        for layer, attribute, _ in self._former:
            setattr(layer, attribute, self._rate)

    def __exit__(self, *exc_info):
        for layer, attribute, own in self._former:
            setattr(layer, attribute, own)


def made_inputs(context, torch, model):
    """Make a batch: of the shape given, or as many numbers as the first linear layer takes."""
    shape = context.parameters.get("input_shape")
    if not shape:
        linear = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
        if not linear or any("Conv" in type(layer).__name__ for layer in model.modules()):
            raise context.Refused("the model's input shape is not known: give it with --input-shape 1,28,28")
        shape = [linear[0].in_features]
    torch.manual_seed(0)
    return torch.rand(SAMPLES, *[int(size) for size in shape])


def losses(torch, subject):
    """Return losses of plain forward passes in training, of training steps that move nothing, and of evaluation."""
    subject.module.train()
    seen = {"train_losses": [float(subject.loss().detach()) for _ in range(REPEATS)]}
    seen["batch_losses"] = trained(torch, subject)
    seen["evaluate_losses"] = evaluated(torch, subject)
    return seen


def trained(torch, subject):
    """Take training steps with learning rate 0 and return their losses."""
    subject.module.train()
    optimizer = torch.optim.SGD(subject.module.parameters(), lr=0.0)
    seen = []
    for _ in range(CALLS):
        optimizer.zero_grad()
        loss = subject.loss()
        loss.backward()
        optimizer.step()
        seen.append(float(loss.detach()))
    return seen


def evaluated(torch, subject):
    subject.module.eval()
    return [float(subject.loss().detach()) for _ in range(CALLS)]


def share(torch, name, layer, attribute):
    """Return what one layer does to ones."""
    layer.train()
    # Four dimensions suit the layers that drop whole channels too.
    outputs = layer(torch.ones(256, 64, 1, 1))
    facts = {"layer": name, "class": type(layer).__name__, "declared": float(layer.p), "attribute": attribute}
    facts.update(measures="share", losses=[float((outputs <= 0).float().mean())], trials=256 * 64)
    if "Alpha" not in type(layer).__name__:  # Which keeps the mean of other inputs than ones.
        facts["mean"] = float(outputs.mean())
    return facts

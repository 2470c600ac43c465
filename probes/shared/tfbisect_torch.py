"""The dropout probe's measurements on a torch module."""

import copy

SAMPLES = 32
REPEATS = 5
NEAR_ONE = 0.999


def measure_torch(context):
    """Return the losses of a torch.nn.Module that the snippet leaves in `model` or builds in build_model()."""
    torch = context.framework
    namespace = context.execute()
    build = namespace.get("build_model")
    model = context.observe(build) if callable(build) else namespace.get("model")
    if not isinstance(model, torch.nn.Module):
        raise context.Refused("`model` is a %s; a torch.nn.Module is needed" % type(model).__name__)
    layers = dropping(torch, model)
    if not layers:
        raise context.Refused("the model has no dropout layer with a rate above 0: nothing to probe")
    context.note("no training loop in torch to take over: one batch of random numbers, mean squared error")
    x = made_inputs(context, torch, model)
    measurements = {
        "model": "torch module",
        "taken_at": "model",
        "samples": SAMPLES,
        "layers": [
            {"name": name, "class": type(layer).__name__, "attribute": "p", "rate": layer.p} for name, layer in layers
        ],
    }
    measurements.update(context.observe(losses, torch, model, x))
    still, strong = with_rate(torch, model, 0.0), with_rate(torch, model, NEAR_ONE)
    measurements["zero_rate_losses"] = trained(torch, still, x)
    measurements["zero_rate_evaluate_losses"] = evaluated(torch, still, x)
    measurements["near_one_losses"] = trained(torch, strong, x)
    measurements["shares"] = [share(torch, name, layer) for name, layer in layers[:3]]
    return measurements


def dropping(torch, model):
    """Return a module's dropout layers: [(name, layer)], rates above 0 only."""
    return [
        (name or "model", layer)
        for name, layer in model.named_modules()
        if "Dropout" in type(layer).__name__ and getattr(layer, "p", 0) > 0
    ]


def with_rate(torch, model, rate):
    """Return a copy of a module with another rate."""
    twin = copy.deepcopy(model)
    for _, layer in dropping(torch, twin):
        layer.p = rate
    return twin


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


def loss_of(torch, model, x):
    outputs = model(x)
    return ((outputs - 0.5) ** 2).mean()


def losses(torch, model, x):
    """Return losses of plain forward passes in training, of training steps that move nothing, and of evaluation."""
    model.train()
    seen = {"train_losses": [float(loss_of(torch, model, x)) for _ in range(REPEATS)]}
    seen["batch_losses"] = trained(torch, model, x)
    seen["evaluate_losses"] = evaluated(torch, model, x)
    return seen


def trained(torch, model, x):
    """Take training steps with learning rate 0 and return their losses."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_of(torch, model, x)
        loss.backward()
        optimizer.step()
        seen.append(float(loss))
    return seen


def evaluated(torch, model, x):
    model.eval()
    return [float(loss_of(torch, model, x)) for _ in range(3)]


def share(torch, name, layer):
    """Return what one layer does to ones."""
    twin = copy.deepcopy(layer).train()
    # Four dimensions suit the layers that drop whole channels too.
    ones = torch.ones(256, 64, 1, 1)
    return {
        "layer": name,
        "class": type(layer).__name__,
        "declared": float(layer.p),
        "attribute": "p",
        "measures": "share",
        "losses": [float((twin(ones) <= 0).float().mean())],
        "trials": 256 * 64,
    }

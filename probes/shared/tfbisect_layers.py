"""Finds a model's dropout layers and sets their rates for controls."""

# The attribute that holds a layer's strength, most special class first.
STRENGTHS = (("GaussianNoise", "stddev"), ("GaussianDropout", "rate"), ("AlphaDropout", "rate"), ("Dropout", "rate"))
RECURRENT = ("dropout", "recurrent_dropout")
NEAR_ONE = 0.999


def names_of(layer):
    """Return the names of a layer's class and of all it is made from."""
    return [klass.__name__ for klass in type(layer).__mro__]


def is_layer(value):
    """Say whether a value is a Keras layer or a recurrent cell."""
    names = names_of(value)
    return not isinstance(value, type) and ("Layer" in names or "Model" in names) and hasattr(value, "call")


def walk(model):
    """Return every layer below a model once: nested models, wrappers, cells, lists of layers."""
    seen, found, queue = {id(model)}, [], [model]
    while queue:
        layer = queue.pop(0)
        for part in parts(layer):
            if id(part) not in seen:
                seen.add(id(part))
                found.append(part)
                queue.append(part)
    return found


def parts(layer):
    """Return the layers that a layer holds, in order."""
    held = []
    for name in ("layers", "_layers"):
        try:
            held.extend(getattr(layer, name, None) or [])
        except Exception:
            continue  # A model that is not built yet may refuse to list its layers.
    for value in list(vars(layer).values()):
        if isinstance(value, dict):
            held.extend(value.values())
        elif isinstance(value, (list, tuple)):
            held.extend(value)
        else:
            held.append(value)
    return [part for part in held if is_layer(part)]


def strength_name(layer):
    """Return the attribute that says how strongly a layer drops, or None for a layer of another kind."""
    names = names_of(layer)
    for name, attribute in STRENGTHS:
        if name in names:
            return attribute
    # A layer of the snippet's own, made from Layer directly.
    own = any("dropout" in name.lower() for name in names) and isinstance(getattr(layer, "rate", None), float)
    return "rate" if own else None


def dropping(model):
    """Return a model's dropout layers: [(layer, attribute, declared rate)], rates above 0 only."""
    found, cells = [], []
    for layer in walk(model):
        own = strength_name(layer)
        if any(layer is cell for cell in cells):
            continue  # Its layer has been counted.
        cells.append(getattr(layer, "cell", None))
        for attribute in (own,) if own else RECURRENT:
            rate = getattr(layer, attribute, None)
            if isinstance(rate, (int, float)) and not isinstance(rate, bool) and rate > 0:
                found.append((layer, attribute, float(rate)))
    return found


def silent(model):
    """Return the dropout layers whose rate is 0."""
    return [layer for layer in walk(model) if strength_name(layer) and not getattr(layer, strength_name(layer), 0)]


class MadeWithStrength(object):
    """While it lasts, every dropout layer of the given classes is made with one strength instead of its own.

    For controls by graph, which keeps what a layer was when it was built: a twin that is made inside shows what the
    loss does with no dropout at all, or with nearly all.
    """

    def __init__(self, layers, strength):
        self._owners = []
        for layer in layers:
            owner = [klass for klass in type(layer).__mro__ if "__init__" in klass.__dict__][0]
            if owner not in self._owners:
                self._owners.append(owner)
        self._strength = strength
        self._former = []

    def __enter__(self):
        for owner in self._owners:
            self._former.append((owner, owner.__dict__["__init__"]))
            owner.__init__ = strong_init(owner.__dict__["__init__"], self._strength)
        return self

    def __exit__(self, *exc_info):
        for owner, init in self._former:
            owner.__init__ = init


def strong_init(init, strength):
    """Return a layer's __init__ that sets the strength afterwards, where the layer declares one."""

    def __init__(self, *args, **kwargs):
        init(self, *args, **kwargs)
        for holder, attribute in holders(self):
            set_strength(holder, attribute, strength)

    return __init__


class WithStrength(object):
    """While it lasts, the dropout layers of a model have one strength; steps see it where they compute eagerly."""

    def __init__(self, model, strength):
        self._strength = strength
        self._holders = [held for layer, _, _ in dropping(model) for held in holders(layer)]

    def __enter__(self):
        self._former = [(holder, dict(vars(holder))) for holder, _ in self._holders]
        for holder, attribute in self._holders:
            # Both rates of a recurrent layer: Keras 3.0 mistakes one for the other, and the control must not.
            for name in RECURRENT if attribute in RECURRENT else (attribute,):
                set_strength(holder, name, self._strength)
            if self._strength and "training" in arguments_of(holder.call):
                # Told from outside that this is training: whether the release itself says so is what is asked.
                vars(holder)["call"] = told_training(holder.call)

    def __exit__(self, *exc_info):
        for holder, former in self._former:
            for name in ("call", "stddev", "rate") + RECURRENT:
                vars(holder).pop(name, None)
                if name in former:
                    vars(holder)[name] = former[name]


def holders(layer):
    """Return who declares a layer's strength, and where: [(layer or its cell, attribute)], strengths above 0 only."""
    own = strength_name(layer)
    return [
        (holder, attribute)
        for holder in (layer, getattr(layer, "cell", None))
        for attribute in ((own,) if own else RECURRENT)
        if getattr(holder, attribute, None)
    ]


def set_strength(holder, attribute, strength):
    """Silence a layer, or set its rate."""
    if strength or attribute in RECURRENT:
        set_attribute(holder, attribute, strength * 10.0 if attribute == "stddev" else strength)
    else:
        # Not by rate 0, which a layer of the snippet's own may misunderstand.
        vars(holder)["call"] = silenced


def set_attribute(holder, attribute, value):
    """Set an attribute, unless it is a property without a setter: a layer that only passes on its cell's."""
    try:
        setattr(holder, attribute, value)
    except AttributeError:
        pass


def silenced(inputs, training=None):
    """Stands in for what a dropout layer does: nothing."""
    return inputs * 1.0


def told_training(call):
    """Return a layer's call that is training whatever it is told."""

    def told(*args, **kwargs):
        return call(*args, **dict(kwargs, training=True))

    return told


def arguments_of(function):
    """Return the names of a function's arguments and variables."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code.co_varnames if code else ()

"""Losses of a model that cannot learn, on one fixed batch."""

from tfbisect_batches import count


def compile_still(model, keras, loss, compiled, optimizer=None, **more):
    """Compile a model so that its weights never move; the rest as the snippet gave it.

    An optimizer that makes no step can be shared: by graph a new one has five variables to initialise.
    """
    kept = {
        name: value
        for name, value in (compiled or {}).items()
        if name in ("loss_weights", "run_eagerly") and value is not None
    }
    kept.update(more)
    # The first argument is the learning rate, called lr or learning_rate by release.
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.0), loss=loss, **kept)


class Batch(object):
    """One fixed batch and the losses that a model shows on it."""

    def __init__(self, x, y, weights):
        self.x, self.y = x, y
        self._more = {} if weights is None else {"sample_weight": weights}
        self.size = count(x)

    def fitted(self, model, epochs):
        """Return the loss of each epoch of one fit."""
        history = model.fit(self.x, self.y, batch_size=self.size, epochs=epochs, shuffle=False, verbose=0, **self._more)
        return [float(loss) for loss in history.history["loss"]]

    def trained(self, model, repeats):
        """Return the losses of train_on_batch."""
        return [self._one(model, model.train_on_batch) for _ in range(repeats)]

    def tested(self, model, repeats):
        """Return the losses of test_on_batch."""
        return [self._one(model, model.test_on_batch) for _ in range(repeats)]

    def evaluated(self, model, repeats):
        """Return the losses of evaluate."""
        return [
            first_number(model.evaluate(self.x, self.y, batch_size=self.size, verbose=0, **self._more))
            for _ in range(repeats)
        ]

    def _one(self, model, call):
        # Keras 3 would go on with the mean over former calls.
        getattr(model, "reset_metrics", lambda: None)()
        return first_number(call(self.x, self.y, **self._more))


def first_number(losses):
    """Return the total loss of what Keras answered: a number, a list, an array or a dict."""
    while hasattr(losses, "__len__") and getattr(losses, "shape", None) != ():
        losses = losses["loss"] if isinstance(losses, dict) else losses[0]
    return float(losses)

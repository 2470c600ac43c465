"""Models of every kind, as scripts: what the probe dropout must say of each.

python -m tests.probes.kinds RELEASE... asks real releases in local environments and prints a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from packaging.version import Version

from service.bisection.outcomes import RunReport, classify
from tests.probes.environments import cache_folder
from tests.probes.protocol import PROBES, ask_each
from tests.probes.survey import environment_of

HEAD = """\
import numpy as np
import tensorflow as tf
layers, models = tf.keras.layers, tf.keras.models
x = np.random.rand(64, 8).astype("float32")
y = np.random.rand(64, 1).astype("float32")
sequence = np.random.rand(64, 6, 8).astype("float32")
picture = np.random.rand(64, 8, 8, 4).astype("float32")
"""
TRAIN = 'model.compile("sgd", "mse")\nmodel.fit(x, y, epochs=2, verbose=0)\n'
ON_SEQUENCES = TRAIN.replace("(x,", "(sequence,")
ON_PICTURES = TRAIN.replace("(x,", "(picture,")


@dataclass(frozen=True)
class Kind:
    """A script with one kind of model."""

    source: str
    since: str = "1.1"
    """The first release that has what the script needs."""
    deferred: bool = False
    """Hit by the fault of 1.11 and 1.12: Sequential, without an input shape, with a layer behind Dropout."""
    outcome: str = "drops"
    parameters: Mapping[str, object] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Releases that have faults of their own: release -> outcome."""

    def expected(self, release: str) -> str:
        """Return the outcome that a release should have."""
        if release in self.elsewhere:
            return self.elsewhere[release]
        hit = self.deferred and Version("1.11") <= Version(release) < Version("1.13")
        return "never-drops" if hit and self.outcome == "drops" else self.outcome


def script(body: str, train: str = TRAIN) -> str:
    """Return a whole script."""
    return HEAD + dedent(body).strip() + "\n" + train


def stacked(middle: str, first: str = "layers.Dense(32, input_shape=(8,))") -> str:
    """Return a script that trains a Sequential model with some layer in the middle."""
    return script(f"model = models.Sequential([{first}, {middle}, layers.Dense(1)])")


def recurrent(layer: str) -> str:
    """Return a script that trains a model with a recurrent layer."""
    return script(
        f"""
        given = layers.Input(shape=(6, 8))
        model = models.Model(given, layers.Dense(1)({layer}(given)))
        """,
        ON_SEQUENCES,
    )


KINDS: Mapping[str, Kind] = {
    "Sequential, deferred": Kind(stacked("layers.Dropout(0.3)", "layers.Dense(32)"), "1.8", deferred=True),
    "Sequential, deferred, Dropout last": Kind(
        script("model = models.Sequential([layers.Dense(1), layers.Dropout(0.3)])"), "1.8"
    ),
    "Sequential, deferred, BatchNormalization": Kind(
        stacked("layers.BatchNormalization(), layers.Dropout(0.3)", "layers.Dense(32)"), "1.8", deferred=True
    ),
    "Sequential, static": Kind(stacked("layers.Dropout(0.3)")),
    "Sequential, static, BatchNormalization": Kind(stacked("layers.BatchNormalization(), layers.Dropout(0.3)")),
    "functional": Kind(
        script("""
        given = layers.Input(shape=(8,))
        hidden = layers.Dropout(0.3)(layers.Dense(32)(given))
        model = models.Model(given, layers.Dense(1)(hidden))
        """)
    ),
    "subclassed": Kind(
        script("""
        class Net(models.Model):
            def __init__(self):
                super(Net, self).__init__()
                self.one, self.drop, self.two = layers.Dense(32), layers.Dropout(0.3), layers.Dense(1)

            def call(self, inputs, training=None):
                return self.two(self.drop(self.one(inputs), training=training))

        model = Net()
        """),
        "1.7",
    ),
    "subclassed, does not pass training on": Kind(
        script("""
        class Net(models.Model):
            def __init__(self):
                super(Net, self).__init__()
                self.one, self.drop, self.two = layers.Dense(32), layers.Dropout(0.3), layers.Dense(1)

            def call(self, inputs):
                return self.two(self.drop(self.one(inputs)))

        model = Net()
        """),
        "1.7",
        # Keras 3 asks the model's own call whether it takes the phase, and tells the layers nothing where it does not.
        elsewhere={"2.16.1": "never-drops", "2.21.0": "never-drops"},
    ),
    "Sequential inside functional": Kind(
        script("""
        inner = models.Sequential([layers.Dense(32, input_shape=(8,)), layers.Dropout(0.3)])
        given = layers.Input(shape=(8,))
        model = models.Model(given, layers.Dense(1)(inner(given)))
        """)
    ),
    "functional inside Sequential": Kind(
        script("""
        given = layers.Input(shape=(8,))
        inner = models.Model(given, layers.Dropout(0.3)(layers.Dense(32)(given)))
        model = models.Sequential([inner, layers.Dense(1)])
        """)
    ),
    "Sequential inside Sequential, deferred": Kind(
        script("""
        inner = models.Sequential([layers.Dense(32), layers.Dropout(0.3)])
        model = models.Sequential([inner, layers.Dense(1)])
        """),
        "1.8",
        deferred=True,
        elsewhere={"1.8.0": "raises:AttributeError"},
    ),
    "two inputs, two outputs": Kind(
        script(
            """
            one, two = layers.Input(shape=(8,), name="one"), layers.Input(shape=(8,), name="two")
            both = layers.Dropout(0.3)(layers.concatenate([layers.Dense(32)(one), layers.Dense(32)(two)]))
            model = models.Model([one, two], [layers.Dense(1, name="a")(both), layers.Dense(1, name="b")(both)])
            """,
            'model.compile("sgd", {"a": "mse", "b": "mae"}, loss_weights={"a": 1.0, "b": 0.5})\n'
            'model.fit({"one": x, "two": x}, {"a": y, "b": y}, verbose=0)\n',
        )
    ),
    "LSTM, dropout": Kind(recurrent("layers.LSTM(16, dropout=0.3)")),
    "LSTM, recurrent_dropout": Kind(
        recurrent("layers.LSTM(16, recurrent_dropout=0.3)"),
        elsewhere={"2.16.1": "never-drops"},  # Keras 3.0.5 makes the recurrent mask with the rate of the inputs.
    ),
    "GRU, both": Kind(recurrent("layers.GRU(16, dropout=0.3, recurrent_dropout=0.3)")),
    "Bidirectional LSTM": Kind(recurrent("layers.Bidirectional(layers.LSTM(16, dropout=0.3))"), "1.3"),
    "SpatialDropout1D": Kind(
        script(
            """
            given = layers.Input(shape=(6, 8))
            model = models.Model(given, layers.Dense(1)(layers.Flatten()(layers.SpatialDropout1D(0.3)(given))))
            """,
            ON_SEQUENCES,
        )
    ),
    "SpatialDropout2D": Kind(
        script(
            """
            given = layers.Input(shape=(8, 8, 4))
            model = models.Model(given, layers.Dense(1)(layers.Flatten()(layers.SpatialDropout2D(0.3)(given))))
            """,
            ON_PICTURES,
        )
    ),
    "AlphaDropout": Kind(stacked("layers.AlphaDropout(0.3)"), "1.4", elsewhere={"2.16.1": "raises:TypeError"}),
    "GaussianDropout": Kind(stacked("layers.GaussianDropout(0.3)")),
    "GaussianNoise": Kind(stacked("layers.GaussianNoise(0.3)")),
    "`model` alone, not compiled": Kind(
        script("model = models.Sequential([layers.Dense(32, input_shape=(8,)), layers.Dropout(0.3)])", "")
    ),
    "`model` alone, deferred, --input-shape": Kind(
        script("model = models.Sequential([layers.Dense(32), layers.Dropout(0.3), layers.Dense(1)])", ""),
        "1.8",
        deferred=True,
        parameters={"input_shape": [8]},
    ),
    "`build_model()`": Kind(
        script(
            """
            def build_model():
                return models.Sequential([layers.Dense(32), layers.Dropout(0.3), layers.Dense(1)])
            """,
            "",
        ),
        "1.8",
        deferred=True,
        parameters={"input_shape": [8]},
    ),
    "tf.data": Kind(
        script(
            """
            model = models.Sequential([layers.Dense(32, input_shape=(8,)), layers.Dropout(0.3), layers.Dense(1)])
            data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(64).batch(16).repeat()
            """,
            'model.compile("sgd", "mse")\nmodel.fit(data, epochs=1, steps_per_epoch=4, verbose=0)\n',
        ),
        "1.4",
    ),
    "generator": Kind(
        script(
            """
            model = models.Sequential([layers.Dense(32, input_shape=(8,)), layers.Dropout(0.3), layers.Dense(1)])
            def batches():
                while True:
                    yield x[:16], y[:16]
            """,
            'model.compile("sgd", "mse")\n'
            'getattr(model, "fit_generator", model.fit)(batches(), steps_per_epoch=4, epochs=1, verbose=0)\n',
        )
    ),
    "train_on_batch": Kind(
        stacked("layers.Dropout(0.3)").replace("fit(x, y, epochs=2, verbose=0", "train_on_batch(x, y")
    ),
    "a script with main()": Kind(
        script(
            """
            def main():
                model = models.Sequential()
                model.add(layers.Dense(32))
                model.add(layers.Dropout(0.3))
                model.add(layers.Dense(1))
                model.compile("sgd", "mse")
                model.fit(x, y, batch_size=16, epochs=2, verbose=0)
                print(model.evaluate(x, y))
            if __name__ == "__main__":
                main()
            """,
            "",
        ),
        "1.8",
        deferred=True,
    ),
    "drops in inference too": Kind(
        script("""
        class MonteCarloDropout(layers.Dropout):
            def call(self, inputs, training=None):
                return super(MonteCarloDropout, self).call(inputs, training=True)

        model = models.Sequential([layers.Dense(32, input_shape=(8,)), MonteCarloDropout(0.3), layers.Dense(1)])
        """),
        "1.4",
        outcome="always-drops",
    ),
    "takes the rate for the share to keep": Kind(
        script("""
        class OwnDropout(layers.Layer):
            def __init__(self, rate=0.2, **more):
                super(OwnDropout, self).__init__(**more)
                self.rate = rate

            def call(self, inputs, training=None):
                if training is None:
                    training = tf.keras.backend.learning_phase()
                keep = tf.cast(training, "float32") * (self.rate - 1.0) + 1.0
                mask = tf.cast(tf.random.uniform(tf.shape(inputs)) < keep, "float32")
                return inputs * mask / keep

            def compute_output_shape(self, shape):
                return shape

            def get_config(self):
                return dict(super(OwnDropout, self).get_config(), rate=self.rate)

        given = layers.Input(shape=(8,))
        model = models.Model(given, layers.Dense(1)(OwnDropout(0.2)(layers.Dense(32)(given))))
        """),
        "1.13",
        outcome="wrong-rate",
    ),
    "does not scale what it keeps": Kind(
        script("""
        class Unscaled(layers.Dropout):
            def call(self, inputs, training=None):
                dropped = super(Unscaled, self).call(inputs, training=training)
                return tf.where(tf.equal(dropped, 0.0), dropped, inputs)

        model = models.Sequential([layers.Dense(32, input_shape=(8,)), Unscaled(0.3), layers.Dense(1)])
        """),
        "1.13",  # Before, the phase does not reach a layer whose output forgets that it depends on it.
        outcome="wrong-rate",
    ),
}


def outcomes(python: str, kinds: Mapping[str, Kind]) -> dict[str, tuple[str, str]]:
    """Return the outcome of the probe and its detail by kind, all asked of one imported framework."""
    probe = PROBES["dropout"]
    answers = ask_each(
        python, probe, {name: (kind.source, kind.parameters) for name, kind in kinds.items()}, "tensorflow"
    )
    said = {name: classify(RunReport("answered", result=result), probe.judge) for name, result in answers.items()}
    return {
        name: (str(getattr(answer, "label", type(answer).__name__)), str(getattr(answer, "detail", answer)))
        for name, answer in said.items()
    }


def there(release: str) -> dict[str, Kind]:
    """Return the kinds that a release has."""
    return {name: kind for name, kind in KINDS.items() if Version(kind.since) <= Version(release)}


def main(*releases: str) -> None:
    """Print a table of what differs from what is expected, and why."""
    rows: dict[str, list[str]] = {name: [] for name in KINDS}
    for release in releases:
        python = environment_of(cache_folder(Path("/tmp/environments")), "tensorflow", release)
        found = outcomes(python, there(release))
        for name, kind in KINDS.items():
            label, detail = found.get(name, ("-", ""))
            rows[name].append(label)
            if name in found and label != kind.expected(release):
                print(f"{release}: {name}: {label}, not {kind.expected(release)}: {detail[:600]}", file=sys.stderr)
    print("| model | " + " | ".join(releases) + " |\n|---|" + "---|" * len(releases))
    for name, labels in rows.items():
        print(f"| {name} | " + " | ".join(labels) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])

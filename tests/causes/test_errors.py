"""Kinds of errors and edits, in releases of a few lines; tests/causes/errors.toml has real ones."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import pytest

from service.catalog.interfaces import Interface
from service.catalog.upgrade_tables import UpgradeTables
from service.causes.edits import edits_for
from service.causes.errors import ErrorCause, ErrorSide, Raised, error_explained, explained_ending, warned_since
from service.causes.names_used import names_used, uses_at
from service.causes.rewriting import edit_diff, renamed

OPS = """
from tensorflow.python import kinds
@tf_export(v1=["to_float"])
@deprecation.deprecated(None, "Use `tf.cast` instead.")
def to_float(x, name="ToFloat"):
  return cast(x, kinds.float32, name=name)
def cast(x, dtype, name=None):
  return gen.cast(x, dtype)
@tf_export("math.log", "log")
def log(x): pass
@tf_export(v1=["Session"])
class Session:
  def run(self, fetches): pass
"""
OLD: Mapping[str, str] = {
    "tensorflow/__init__.py": "",
    "tensorflow/_api/v1/__init__.py": "from tensorflow.python.ops import to_float, cast, log, Session\n"
    "from tensorflow.python.sums import reduce_sum\nfrom tensorflow.python.kinds import float32\n",
    "tensorflow/_api/v1/math/__init__.py": "from tensorflow.python.ops import log\n",
    "tensorflow/python/ops.py": OPS,
    "tensorflow/python/kinds.py": "float32 = 1\n",
    "tensorflow/python/sums.py": "def reduce_sum(x, axis=None, keep_dims=False): pass\n",
    "tensorflow/_api/v1/keras/__init__.py": "from tensorflow.python.keras.models import Sequential\n",
    "tensorflow/python/keras/models.py": """
class Sequential:
  def __init__(self, layers=None): pass
  def predict(self, x): pass
  def predict_classes(self, x):
    warnings.warn("deprecated: use `np.argmax(model.predict(x), axis=-1)`")
  def fit_generator(self, batches):
    warnings.warn("deprecated. Please use `Model.fit`, which takes generators.")
  def fit(self, x): pass
""",
}
NEW: Mapping[str, str] = {
    "tensorflow/__init__.py": "",
    "tensorflow/_api/v2/__init__.py": "from tensorflow.python.ops import cast\n"
    "from tensorflow.python.sums import reduce_sum\nfrom tensorflow.python.kinds import float32\n",
    "tensorflow/_api/v2/math/__init__.py": "from tensorflow.python.ops import log\n",
    "tensorflow/_api/v2/compat/v1/__init__.py": "from tensorflow.python.ops import to_float, Session\n",
    "tensorflow/python/ops.py": OPS,
    "tensorflow/python/kinds.py": "float32 = 1\n",
    "tensorflow/python/sums.py": "def reduce_sum(x, axis=None, keepdims=False): pass\n",
    "keras/_tf_keras/keras/__init__.py": "from keras.src.models import Sequential\n",
    "keras/src/models.py": """
class Sequential:
  def __init__(self, layers=None): pass
  def predict(self, x): pass
  def fit(self, x): pass
  def save(self, path):
    raise ValueError(
        f"The filename must end in `.keras` and nothing else. Received: {path}")
""",
}
WORKS = ErrorSide("1.14.0", "3.6", {"tensorflow": "1.14.0", "numpy": "1.16.0"}, Interface([OLD], 1))
RAISES = ErrorSide("2.0.0", "3.10", {"tensorflow": "2.0.0", "numpy": "1.26.0"}, Interface([NEW], 2))
NO_TABLES = UpgradeTables({}, {})


def cause_of(source: str, exception: str, message: str, line: int | None = 2) -> ErrorCause:
    return error_explained(Raised(exception, message, line), source, WORKS, RAISES)


def edited(source: str, exception: str, message: str, line: int | None = 2) -> list[str]:
    raised = Raised(exception, message, line)
    cause = error_explained(raised, source, WORKS, RAISES)
    found = [edit.source for edit in edits_for(cause, raised, source, WORKS, RAISES, NO_TABLES)]
    for each in found:
        ast.parse(each)
    return found


TF = "import tensorflow as tf\n"
KERAS_MESSAGE = "The filename must end in `.keras` and nothing else. Received: /tmp/kept"


@pytest.mark.parametrize(
    ("kind", "source", "exception", "message"),
    [
        ("api-gone", f"{TF}tf.to_float(1)\n", "AttributeError", "module 'tensorflow' has no attribute 'to_float'"),
        ("api-gone", f"{TF}tf.Session()\n", "AttributeError", "module 'tensorflow' has no attribute 'Session'"),
        ("import-path", f"{TF}tf.log(1)\n", "AttributeError", "module 'tensorflow' has no attribute 'log'"),
        ("import-path", "\nfrom tensorflow import log\n", "ImportError", "cannot import name 'log' from 'tensorflow'"),
        (
            "parameter",
            f"{TF}tf.reduce_sum(1, keep_dims=True)\n",
            "TypeError",
            "got an unexpected keyword argument 'keep_dims'",
        ),
        ("parameter", f"{TF}tf.cast(1)\n", "TypeError", "cast() missing 1 required positional argument: 'dtype'"),
        (
            "third-party-library",
            "import numpy as np\nnp.bool\n",
            "AttributeError",
            "module 'numpy' has no attribute 'bool'",
        ),
        ("python-version", "import time\ntime.clock()\n", "AttributeError", "module 'time' has no attribute 'clock'"),
        ("python-version", "import imp\n", "ModuleNotFoundError", "No module named 'imp'"),
        ("python-version", "x := 1\n", "SyntaxError", "invalid syntax"),
        ("resource", f"{TF}tf.cast(1, 2)\n", "ResourceExhaustedError", "OOM when allocating tensor"),
        ("resource", f"{TF}tf.cast(1, 2)\n", "OSError", "[Errno 28] No space left on device"),
        ("usage-constraint", f"{TF}tf.keras.Sequential().save('/tmp/kept')\n", "ValueError", KERAS_MESSAGE),
        ("unknown", f"{TF}tf.cast(1, 2)\n", "KeyError", "'x'"),
        ("unknown", f"{TF}tf.cast(1, 2)\n", "TypeError", "'NoneType' object is not iterable"),
    ],
)
def test_each_kind_is_told_by_its_message_and_both_releases(
    kind: str, source: str, exception: str, message: str
) -> None:
    assert cause_of(source, exception, message).kind == kind


def test_the_interpreter_is_not_blamed_where_both_have_the_same() -> None:
    raised = Raised("AttributeError", "module 'time' has no attribute 'clock'", 2)
    same = ErrorSide(RAISES.release, WORKS.python, RAISES.packages, RAISES.interface)
    assert error_explained(raised, "import time\ntime.clock()\n", WORKS, same).kind == "unknown"


def test_a_library_that_is_the_same_in_both_is_not_blamed() -> None:
    raised = Raised("AttributeError", "module 'numpy' has no attribute 'bool'", 2)
    same = ErrorSide(RAISES.release, RAISES.python, {**RAISES.packages, "numpy": "1.16.0"}, RAISES.interface)
    assert error_explained(raised, "import numpy as np\nnp.bool\n", WORKS, same).kind == "unknown"


def test_a_call_that_the_release_makes_itself_is_no_parameter_of_the_script() -> None:
    trail = '  File "snippet.py", line 2, in <module>\n  File "/x/site-packages/keras/layers.py", line 38, in call\n'
    raised = Raised("TypeError", "greater_equal() got an unexpected keyword argument 'seed'", 2, trail)
    assert error_explained(raised, f"{TF}tf.cast(1, 2)\n", WORKS, RAISES).kind == "unknown"


def test_signatures_stand_side_by_side() -> None:
    cause = cause_of(f"{TF}tf.reduce_sum(1, keep_dims=True)\n", "TypeError", "unexpected keyword argument 'keep_dims'")
    told = cause.to_json("1.14.0", "2.0.0")
    assert told["signatures"] == {
        "1.14.0": "tf.reduce_sum(x, axis=None, keep_dims=False)",
        "2.0.0": "tf.reduce_sum(x, axis=None, keepdims=False)",
    }
    assert (told["name"], told["parameter"]) == ("tensorflow.reduce_sum", "keep_dims")


def test_the_check_that_refuses_is_named_by_file_and_line() -> None:
    cause = cause_of(f"{TF}tf.keras.Sequential().save('/tmp/kept')\n", "ValueError", KERAS_MESSAGE)
    assert cause.place == "keras/src/models.py:7"


def test_a_wrapper_that_is_gone_is_replaced_by_what_it_did() -> None:
    found = edited(
        f"{TF}y = tf.to_float([1, 2])\n", "AttributeError", "module 'tensorflow' has no attribute 'to_float'"
    )
    assert found[:2] == [f"{TF}y = tf.cast([1, 2], tf.float32)\n", f"{TF}y = tf.compat.v1.to_float([1, 2])\n"]


def test_a_renamed_parameter_is_renamed_at_its_place_only() -> None:
    source = f"{TF}keep_dims = 1\ny = tf.reduce_sum(1, keep_dims=keep_dims)  # ä\n"
    found = edited(source, "TypeError", "unexpected keyword argument 'keep_dims'", 3)
    assert found[0] == f"{TF}keep_dims = 1\ny = tf.reduce_sum(1, keepdims=keep_dims)  # ä\n"
    assert found[-1] == f"{TF}keep_dims = 1\ny = tf.reduce_sum(1)  # ä\n"


def test_an_import_that_moved_is_imported_from_its_new_place() -> None:
    found = edited(
        "\nfrom tensorflow import log\nlog(1)\n", "ImportError", "cannot import name 'log' from 'tensorflow'"
    )
    assert found[0] == "\nfrom tensorflow.math import log\nlog(1)\n"


def test_every_use_of_a_name_is_renamed_and_nothing_else() -> None:
    source = f'{TF}a = tf.log(tf.log(1))  # tf.log\nprint("tf.log", tf.logging)\n'
    assert renamed(source, "tensorflow.log", "tensorflow.math.log") == (
        f'{TF}a = tf.math.log(tf.math.log(1))  # tf.log\nprint("tf.log", tf.logging)\n'
    )


def test_what_a_deprecation_says_to_write_is_tried() -> None:
    model = f"{TF}m = tf.keras.Sequential()\n"
    message = "'Sequential' object has no attribute '{}'"
    classes = edited(f"{model}m.predict_classes(data)\n", "AttributeError", message.format("predict_classes"), 3)
    assert classes[0] == f"{TF}import numpy as np\nm = tf.keras.Sequential()\nnp.argmax(m.predict(data), axis=-1)\n"
    batches = edited(f"{model}m.fit_generator(data)\n", "AttributeError", message.format("fit_generator"), 3)
    assert batches[0] == f"{model}m.fit(data)\n"


def test_the_shape_of_the_data_is_given_to_the_first_layer() -> None:
    source = f"{TF}x = data()\nm = tf.keras.Sequential()\nm.add(Dense(1))\nm.fit(x)\n"
    found = edited(source, "ValueError", "The first layer in a Sequential model must get an `input_shape`", 4)
    assert "m.add(Dense(1, input_shape=x.shape[1:]))" in found[0]


def test_a_file_gets_the_ending_that_the_message_asks_for() -> None:
    found = edited(f"{TF}tf.keras.Sequential().save('/tmp/kept.h5')\n", "ValueError", KERAS_MESSAGE)
    assert found[0] == f"{TF}tf.keras.Sequential().save('/tmp/kept.keras')\n"


def test_no_edit_is_the_script_itself_and_none_comes_twice() -> None:
    found = edited(f"{TF}tf.Session()\n", "AttributeError", "module 'tensorflow' has no attribute 'Session'")
    assert len(found) == len(set(found))
    assert f"{TF}tf.Session()\n" not in found


def test_methods_are_known_by_what_made_the_variable() -> None:
    source = f"{TF}with tf.Session() as s:\n    s.run(1)\n(tf.keras.Sequential()).fit(2)\n"
    assert [use.name for use in names_used(source)] == [
        "tensorflow",
        "tensorflow.Session",
        "tensorflow.Session.run",
        "tensorflow.keras.Sequential.fit",
        "tensorflow.keras.Sequential",
    ]


def test_the_names_of_one_statement_are_found_by_any_of_its_lines() -> None:
    source = f"{TF}a = tf.log(\n    1,\n)\nb = tf.cast(1, 2)\n"
    assert {use.name for line in (2, 3, 4) for use in uses_at(source, line)} == {"tensorflow.log"}


def test_a_warning_counts_from_the_release_that_never_stopped_warning() -> None:
    cause = ErrorCause("parameter", "", "tensorflow.keras.optimizers.SGD", "lr")
    said = [("2.2", ["`lr` is old"]), ("2.3", []), ("2.4", ["use learning_rate, not `lr`"]), ("2.5", ["lr"])]
    assert warned_since(cause, said) == "2.4"
    assert warned_since(cause, said[:2]) == ""


def test_a_run_that_was_ended_for_its_memory_is_a_matter_of_resources() -> None:
    found = explained_ending("out-of-memory", WORKS, RAISES)
    assert found is not None
    assert found.kind == "resource"
    assert explained_ending("lost", WORKS, RAISES) is None


def test_an_edit_is_shown_as_a_diff_that_patch_takes() -> None:
    assert edit_diff("a\nb\nc\n", "a\nB\nc\n") == "--- a/script.py\n+++ b/script.py\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"

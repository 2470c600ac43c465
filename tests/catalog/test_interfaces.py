from __future__ import annotations

import http.server
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from service.catalog.interfaces import Interface
from service.catalog.upgrade_tables import upgrade_tables
from service.catalog.wheel_sources import PART_BYTES, RemoteFile, Sources, copy_python, imported_path

ONE: Mapping[str, str] = {
    "tensorflow/__init__.py": "from tensorflow.python import *\nfrom tensorflow._api.v1 import nn\n",
    "tensorflow/_api/v1/__init__.py": "from tensorflow.python.ops.math import to_float\n",
    "tensorflow/_api/v1/nn/__init__.py": "from tensorflow.python.ops.math import softmax\n",
    "tensorflow/_api/v1/keras/__init__.py": "from tensorflow.python.keras.models import Sequential\n",
    "tensorflow/python/__init__.py": "from tensorflow.python.ops.math import *\nfrom . import client\n",
    "tensorflow/python/client.py": "class Session:\n  def __init__(self, target=''): pass\n",
    "tensorflow/python/ops/math.py": """
from tensorflow.python.framework import kinds
from tensorflow.python.client import Session
@deprecation.deprecated(None, "Use `tf.cast` instead.")
@tf_export(v1=["to_float"])
def to_float(x, name="ToFloat"):
  '''Cast.'''
  return cast(x, kinds.float32, name=name)
@tf_export("cast")
def cast(x, dtype, name=None):
  return gen.cast(x, dtype)
@tf_export("math.log", "log")
def log(x): pass
@tf_export("nn.softmax")
def softmax(logits, axis=None, *, dim=None):
  axis = deprecation.deprecated_argument_lookup("axis", axis, "dim", dim)
try:
  from tensorflow.python.fast import quick
except ImportError:
  quick = None
if kinds:
  def guarded(a, /, b, *rest, c=1, **more): pass
""",
    "tensorflow/python/framework/kinds.py": "float32 = 1\n",
    "tensorflow/python/keras/engine.py": """
class Layer(object):
  def __init__(self, **kwargs):
    allowed_kwargs = {'input_shape', 'name'}
class Model(Layer):
  def fit(self, x=None, y=None, epochs=1): pass
""",
    "tensorflow/python/keras/models.py": """
from tensorflow.python.keras import engine
Model = engine.Model
class Sequential(Model):
  def __init__(self, layers=None, **kwargs):
    self.rate = kwargs.pop('lr', layers)
  def predict_classes(self, x):
    warnings.warn('`predict_classes` is deprecated. Please use `predict`.')
Sequential.__doc__ = Model.__doc__
""",
    "tensorflow/python/old.py": "async = 1\n",
}
TWO: Mapping[str, str] = {
    "tensorflow/__init__.py": "",
    "tensorflow/_api/v2/__init__.py": "from . import math\nfrom tensorflow.python.ops.math import cast\n",
    "tensorflow/_api/v2/math/__init__.py": "from tensorflow.python.ops.math import log\n",
    "tensorflow/_api/v2/compat/v1/__init__.py": "from tensorflow.python.ops.math import to_float\n",
    "tensorflow/python/ops/math.py": ONE["tensorflow/python/ops/math.py"],
    "tensorflow/python/framework/kinds.py": "float32 = 1\n",
    "keras/_tf_keras/keras/__init__.py": "from keras.src.models import Sequential\n",
    "keras/_tf_keras/keras/optimizers/__init__.py": "from keras.src.sgd import SGD\n",
    "keras/src/models.py": "class Sequential:\n    def __init__(self, layers=None, name=None): pass\n",
    "keras/src/sgd.py": "class SGD:\n    def __init__(self, learning_rate=0.01, **kwargs): pass\n",
}


@pytest.fixture
def one() -> Interface:
    return Interface([ONE], 1)


@pytest.fixture
def two() -> Interface:
    return Interface([TWO], 2)


@pytest.mark.parametrize(
    ("name", "module", "defined"),
    [
        ("tensorflow.to_float", "tensorflow.python.ops.math", "to_float"),
        ("tensorflow.nn.softmax", "tensorflow.python.ops.math", "softmax"),
        ("tensorflow.Session", "tensorflow.python.client", "Session"),
        ("tensorflow.keras.Sequential", "tensorflow.python.keras.models", "Sequential"),
        ("tensorflow.keras.Sequential.fit", "tensorflow.python.keras.engine", "Model.fit"),
        ("tensorflow.python.ops.math.guarded", "tensorflow.python.ops.math", "guarded"),
    ],
)
def test_a_public_name_leads_to_its_definition(one: Interface, name: str, module: str, defined: str) -> None:
    found = one.resolve(name)
    assert found is not None
    assert (found.module, found.name) == (module, defined)


@pytest.mark.parametrize(
    "name", ["tensorflow.nothing", "tensorflow.keras.Sequential.nothing", "numpy.bool", "tensorflow.old.x"]
)
def test_what_a_release_lacks_leads_nowhere(one: Interface, name: str) -> None:
    assert one.resolve(name) is None


def test_what_only_old_scripts_have_is_not_in_the_api(two: Interface) -> None:
    assert two.resolve("tensorflow.to_float") is None
    assert two.resolve("tensorflow.compat.v1.to_float") is not None


def test_keras_is_found_where_the_release_takes_it_from(two: Interface) -> None:
    found = [two.resolve(name) for name in ("tensorflow.keras.Sequential", "tensorflow.optimizers.SGD")]
    assert [each and each.module for each in found] == ["keras.src.models", "keras.src.sgd"]


def test_a_signature_reads_as_it_is_written(one: Interface) -> None:
    found = one.resolve("tensorflow.python.ops.math.guarded")
    assert found is not None
    assert str(found.signature) == "(a, b, *rest, c=1, **more)"


def test_older_names_of_parameters_are_known_from_the_body(one: Interface) -> None:
    softmax, model = one.resolve("tensorflow.nn.softmax"), one.resolve("tensorflow.keras.Sequential")
    assert softmax is not None
    assert model is not None
    assert softmax.signature is not None
    assert model.signature is not None
    assert softmax.signature.aliases == (("dim", "axis"),)
    assert model.signature.aliases == (("lr", "layers"),)
    assert {"input_shape", "name", "lr"} <= model.signature.accepted
    assert [model.signature.takes(name) for name in ("lr", "layers", "input_shape", "other")] == [
        True,
        True,
        True,
        None,
    ]
    assert softmax.signature.takes("other") is False


def test_advice_wrapped_calls_and_exports_are_kept(one: Interface) -> None:
    found, method = one.resolve("tensorflow.to_float"), one.resolve("tensorflow.keras.Sequential.predict_classes")
    assert found is not None
    assert method is not None
    assert (found.advice, found.body) == ("Use `tf.cast` instead.", "cast(x, kinds.float32, name=name)")
    assert found.exports == ("tensorflow.to_float", "tensorflow.compat.v1.to_float")
    assert method.advice == "`predict_classes` is deprecated. Please use `predict`."


def test_public_paths_are_those_of_the_api(two: Interface) -> None:
    assert two.public_paths("log") == ("tensorflow.math.log",)
    assert two.public_paths("to_float") == ("tensorflow.compat.v1.to_float",)
    assert two.public_paths("SGD") == ("tensorflow.keras.optimizers.SGD",)


def test_imports_in_a_circle_end() -> None:
    circle = {"a/__init__.py": "from b import x\n", "b/__init__.py": "from a import x\n", "c.py": "from c import *\n"}
    assert Interface([circle]).resolve("a.x") is None
    assert Interface([circle]).resolve("c.x") is None


def test_the_tables_of_the_upgrade_script_are_read() -> None:
    folder = "tensorflow/tools/compatibility/"
    texts = {
        f"{folder}renames_v2.py": "renames = {'tf.log': 'tf.math.log'}\n",
        f"{folder}tf_upgrade_v2.py": "def a(self):\n  self.k = {'tf.argmax': {'dimension': 'axis', 'x': None}}\n",
        "tensorflow/other.py": "renames = {'tf.no': 'tf.never'}\n",
    }
    found = upgrade_tables(texts.items())
    assert found.names == {"tensorflow.log": "tensorflow.math.log"}
    assert found.keywords == {"tensorflow.argmax": {"dimension": "axis", "x": None}}


@dataclass
class Server:
    url: str
    asked: list[str]


@pytest.fixture(params=[True, False], ids=["ranges", "whole"])
def wheel(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve a wheel with a large library between two Python files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a-1.data/purelib/a/__init__.py", "x = 1\n")
        archive.writestr("a/library.so", bytes(4 * PART_BYTES))
        archive.writestr("a/last.py", "y = 2\n")
    content, asked = packed.getvalue(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            asked.append(wanted)
            first, last = (int(each) for each in wanted.removeprefix("bytes=").split("-"))
            part = content[first : last + 1] if request.param else content
            self.send_response(206 if request.param else 200)
            self.send_header("Content-Length", str(len(part)))
            if request.param:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Server(f"http://127.0.0.1:{server.server_address[1]}/a.whl", asked)
        server.shutdown()


def test_only_the_python_of_a_wheel_is_fetched(wheel: Server, tmp_path: Path) -> None:
    with requests.Session() as session:
        copy_python(RemoteFile(session, wheel.url), str(tmp_path / "kept.zip"))
    sources = Sources(tmp_path / "kept.zip", "a", "1", "")
    assert dict(sources) == {"a/__init__.py": "x = 1\n", "a/last.py": "y = 2\n"}
    assert len(wheel.asked) <= 4


def test_files_in_a_folder_of_data_are_imported_without_it() -> None:
    assert imported_path("b-1.data/scripts/x.py") == "b-1.data/scripts/x.py"
    assert imported_path("b-1.data/platlib/b/x.py") == "b/x.py"

"""Says, as one line of JSON, which CUDA libraries the release opens and which of them can be loaded.

The names come from the release itself: on a machine with a device it opens its libraries in one function, and that
function is called here without one, while the loader notes what it is asked for: LD_DEBUG=files must be set, and
LD_DEBUG_OUTPUT say where. The names given as arguments (those of the recipe) are loaded too.
"""

import ctypes
import json
import os
import re
import sys
from pathlib import Path

# What opens all of a release's libraries: before and since the code moved from TensorFlow to TSL.
OPENERS = (
    "_ZN3tsl8internal9DsoLoader26MaybeTryDlopenGPULibrariesEv",
    "_ZN15stream_executor8internal9DsoLoader26MaybeTryDlopenGPULibrariesEv",
)
# A library opened by the framework; what CUDA's own libraries open beside is their business.
OPENED = re.compile(r"file=(lib(?:cu|nccl|nv)[^ /]*) .*dynamically loaded by .*/tensorflow/")
# The driver comes with the device, and TensorRT is for those who ask for it.
NOT_OURS = re.compile(r"libcuda\.so|libnvinfer|libnvidia-ml")


def open_all():
    """Let the release open its libraries; False where it has no such function."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    mapped = {line.split()[-1] for line in lines if "/tensorflow/" in line and ".so" in line}
    # The framework's own library first: it is where the function is, the others would find it through that one.
    for path in sorted(mapped, key=lambda path: ("libtensorflow_framework" not in path, path)):
        library = ctypes.CDLL(path)
        for name in OPENERS:
            if hasattr(library, name):
                # It returns a status, through a pointer that the caller gives.
                opener, status = getattr(library, name), ctypes.create_string_buffer(64)
                opener.restype, opener.argtypes = None, [ctypes.c_void_p]
                opener(status)
                return True
    return False


def opened():
    """Return the libraries that the framework opened, in the order in which it did."""
    log = Path(os.environ["LD_DEBUG_OUTPUT"] + "." + str(os.getpid())).read_text(encoding="utf-8", errors="replace")
    names = OPENED.findall(log)
    return [name for name in dict.fromkeys(names) if not NOT_OURS.match(name)]


def error_of(name):
    """Return why a library cannot be loaded, or nothing."""
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return str(error)
    return ""


def main(named):
    """Print the answer."""
    import tensorflow as tf

    asked = opened() if open_all() else []
    errors = {name: error_of(name) for name in dict.fromkeys([*asked, *named])}
    build = dict(tf.sysconfig.get_build_info())
    answer = {
        "version": tf.__version__,
        "asked": asked,
        "errors": {name: error for name, error in errors.items() if error},
        "loaded": sorted(name for name, error in errors.items() if not error),
        "cuda": str(build.get("cuda_version", "")),
        "cudnn": str(build.get("cudnn_version", "")),
        "is_cuda_build": bool(build.get("is_cuda_build")),
        "devices": [device.name for device in tf.config.list_physical_devices("GPU")],
    }
    sys.stdout.write(json.dumps(answer) + "\n")


main(sys.argv[1:])

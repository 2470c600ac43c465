"""Says, as one line of JSON, which of the named libraries the loader finds, and what CUDA the release was built for."""

import ctypes
import json
import sys


def error_of(name):
    """Return why a library cannot be loaded, or nothing."""
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return str(error)
    return ""


def main(names):
    """Print the answer."""
    import tensorflow as tf

    # The release preloads its own copies where it knows of them; the names must do after that.
    errors = {name: error_of(name) for name in names}
    build = dict(tf.sysconfig.get_build_info())
    answer = {
        "version": tf.__version__,
        "errors": {name: error for name, error in errors.items() if error},
        "loaded": sorted(name for name, error in errors.items() if not error),
        "cuda": str(build.get("cuda_version", "")),
        "cudnn": str(build.get("cudnn_version", "")),
        "is_cuda_build": bool(build.get("is_cuda_build")),
        "devices": [device.name for device in tf.config.list_physical_devices("GPU")],
    }
    sys.stdout.write(json.dumps(answer) + "\n")


main(sys.argv[1:])

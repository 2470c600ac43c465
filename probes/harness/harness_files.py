"""The files that come with a question: laid out in a folder of their own, which the snippet works in."""

import base64
import os
import sys
import tempfile
import zlib

FOLDER = "project"
PLACE = {}
"""`folder`: where they lie."""


def lay_out(files):
    """Write each file, read-only, and return the folder: the same in every run of a container."""
    folder = os.path.join(os.path.realpath(tempfile.gettempdir()), FOLDER)
    os.mkdir(folder)
    for path in sorted(files):
        place = os.path.join(folder, *native(path).split("/"))
        if not os.path.isdir(os.path.dirname(place)):
            os.makedirs(os.path.dirname(place))
        with open(place, "wb") as target:
            target.write(zlib.decompress(base64.b64decode(files[path])))
        os.chmod(place, 0o444)
    return folder


def enter(folder, script):
    """Work in a folder, and import from where the script lies in it, as Python does."""
    PLACE["folder"] = folder
    os.chdir(folder)
    beside = os.path.join(folder, *native(script).split("/")[:-1]) if script else folder
    if sys.path and sys.path[0] == "":
        sys.path[0] = beside
    else:
        sys.path.insert(0, beside)


def is_own(path):
    """Say whether a file came with the question."""
    return "folder" in PLACE and path.startswith(PLACE["folder"] + os.sep)


def without_folder(text):
    """Return a text with the paths of these files as they were sent."""
    return text.replace(PLACE["folder"] + os.sep, "") if "folder" in PLACE else text


def native(text):
    """Return a name as this Python has names of files."""
    return text.encode("utf-8") if sys.version_info[0] == 2 else text


def argument_of(text):
    """Return an argument as this Python has them in sys.argv."""
    return native(text)

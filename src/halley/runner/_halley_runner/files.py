"""Output files: each is put into the prediction's run folder, where nobody writes to it any more.

A model may write the same `/tmp/out.png` for every item it yields, and for the next prediction; the parent
would find the newer picture under the older name. So a file outside the run folder is copied at once.
"""

from __future__ import annotations

import io
import os
import pathlib
import stat
from os.path import abspath, basename, isfile, join, normpath, realpath
from typing import Any

from .prediction import Prediction

COPY_BYTES = 2**20
SYSTEM = ("/proc", "/dev", "/sys")


class BadOutput(Exception):
    """The output cannot be sent; the text says which part and what to return instead."""


def is_file_like(value: Any) -> bool:
    """Whether this is a path or an open file."""
    return isinstance(value, (pathlib.PurePath, io.IOBase)) or (hasattr(value, "read") and hasattr(value, "name"))


def text_of_path(value: Any) -> Any:
    """Paths as text, everything else as it is."""
    return str(value) if isinstance(value, pathlib.PurePath) else value


def keep(value: Any, prediction: Prediction) -> str:
    """The absolute name of a file in the run folder with this path's or open file's content.

    Raises:
        BadOutput: there is no such file, it is no ordinary file, or its name is not UTF-8.
    """
    if isinstance(value, pathlib.PurePath):
        return _keep_path(abspath(str(value)), prediction)
    if not getattr(value, "closed", False) and hasattr(value, "flush"):
        value.flush()
    name = getattr(value, "name", None)
    if isinstance(name, str) and isfile(name):
        return _keep_path(abspath(name), prediction)
    return _keep_content(value, prediction)


def _keep_path(path: str, prediction: Prediction) -> str:
    try:
        path.encode()
        found = os.stat(path)
    except UnicodeEncodeError:
        raise BadOutput("the name of output file %s is not UTF-8" % ascii(path)) from None
    except OSError as error:
        raise BadOutput("output file %s cannot be read: %s" % (path, error.strerror)) from None
    if not stat.S_ISREG(found.st_mode):
        raise BadOutput("output %s is not a file; return the path of a file" % path)
    folder = prediction.folder
    real = realpath(path)
    # the parent judges links and files of the system by name, which a copy would hide from it
    if not folder or _is_inside(real, folder) or not _may_be_copied(path, real):
        prediction.is_read_later = True
        return path
    target = _new_place(prediction, basename(path))
    with open(path, "rb") as source:
        _copy(source, target)
    prediction.returned[path] = (found.st_ino, found.st_ctime_ns)
    return target


def _may_be_copied(path: str, real: str) -> bool:
    if any(_is_inside(real, folder) for folder in SYSTEM):
        return False
    own = (os.getcwd(), os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - only compared
    return real == normpath(path) or any(_is_inside(real, folder) for folder in own)


def _is_inside(real: str, folder: str) -> bool:
    return real.startswith(realpath(folder) + os.sep)


def _keep_content(value: Any, prediction: Prediction) -> str:
    if getattr(value, "closed", False):
        raise BadOutput("an output file is closed and has no name; return a cog.Path")
    if not prediction.folder:
        raise BadOutput("an open file without a name was returned, and there is no folder to keep it in")
    if value.seekable():
        value.seek(0)
    target = _new_place(prediction, "output.txt" if isinstance(value, io.TextIOBase) else "output.bin")
    _copy(value, target)
    return target


def _new_place(prediction: Prediction, name: str) -> str:
    prediction.files += 1
    folder = join(prediction.folder, "outputs", str(prediction.files))
    os.makedirs(folder, exist_ok=True)
    return join(folder, name)


def _copy(source: Any, target: str) -> None:
    with open(target, "wb") as kept:
        while True:
            piece = source.read(COPY_BYTES)
            if not piece:
                return
            kept.write(piece.encode() if isinstance(piece, str) else piece)

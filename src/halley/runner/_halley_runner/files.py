"""Output files: each is put into the prediction's run folder, where it does not change any more.

A model may write the same `/tmp/out.png` for every item it yields, and for the next prediction; the parent would find
the newer picture under the older name. So a file outside the run folder is copied at once. The parent reads files of
the run folder only; `allowed` decides which files may be put there.
"""

from __future__ import annotations

import io
import os
import pathlib
import stat
from os.path import abspath, basename, dirname, join, realpath
from typing import Any, Optional

from .allowed import Device, Opened, inspect_descriptor, open_file
from .prediction import Prediction

COPY_BYTES = 2**20


class BadOutput(Exception):
    """The output cannot be sent; the text says which part, and what to return instead."""


def is_file_like(value: Any) -> bool:
    """Whether this is a path or an open file."""
    return isinstance(value, (pathlib.PurePath, io.IOBase)) or (hasattr(value, "read") and hasattr(value, "name"))


def put_into_run_folder(value: Any, prediction: Prediction) -> str:
    """The absolute path of a file in the run folder with the content of this path or open file.

    Raises:
        BadOutput: the file does not exist, is not a regular file, may not be returned, or its name is not UTF-8.
    """
    if isinstance(value, pathlib.PurePath):
        return _keep_path(abspath(str(value)), prediction)
    if not getattr(value, "closed", False) and hasattr(value, "flush"):
        value.flush()
    name = None if _is_in_memory(value) else getattr(value, "name", None)
    if isinstance(name, str) and os.path.isfile(name):
        return _keep_path(abspath(name), prediction)
    return _keep_content(value, prediction)


def _keep_path(path: str, prediction: Prediction) -> str:
    try:
        path.encode()
        opened = open_file(path)
    except UnicodeEncodeError:
        raise BadOutput("the name of output file %s is not UTF-8" % ascii(path)) from None
    except Device:
        raise BadOutput("output %s is not a file; return the path of a file" % path) from None
    except OSError as error:
        raise BadOutput("output file %s cannot be read: %s" % (path, error.strerror)) from None
    try:
        if not stat.S_ISREG(opened.found.st_mode):
            raise BadOutput("output %s is not a file; return the path of a file" % path)
        _check(path, opened, prediction)
        folder = realpath(_folder(prediction))
        if opened.real.startswith(folder + os.sep) and opened.real == join(realpath(dirname(path)), basename(path)):
            return opened.real
        target = _new_place(prediction, basename(path))
        with open(opened.descriptor, "rb", closefd=False) as source:
            _copy(source, target)
        prediction.returned[path] = (opened.found.st_ino, opened.found.st_ctime_ns)
    finally:
        os.close(opened.descriptor)
    return target


def _keep_content(value: Any, prediction: Prediction) -> str:
    if getattr(value, "closed", False):
        raise BadOutput("an output file is closed and has no name; return a cog.Path")
    opened = _behind(value)
    # a pipe, a socket, or a file without a name: made by this process for this output
    if opened is not None and (stat.S_ISREG(opened.found.st_mode) or not opened.real.startswith(("pipe:", "socket:"))):
        _check(str(getattr(value, "name", opened.real)), opened, prediction)
    _folder(prediction)
    if value.seekable():
        value.seek(0)
    target = _new_place(prediction, "output.txt" if isinstance(value, io.TextIOBase) else "output.bin")
    _copy(value, target)
    return target


def _is_in_memory(value: Any) -> bool:
    """Whether the file's name is only a label, as for an upload; a file of that name on disk is another file."""
    return isinstance(value, (io.BytesIO, io.StringIO)) and not value.closed


def _behind(value: Any) -> Optional[Opened]:
    try:
        return inspect_descriptor(value.fileno())
    except (AttributeError, OSError, ValueError):  # it exists in memory only
        return None


def _check(named: str, opened: Opened, prediction: Prediction) -> None:
    reason = prediction.bounds.why_not(opened, prediction.folder, prediction.began)
    if reason is not None:
        if named.startswith(os.sep) and opened.real != named:
            reason = "a link that leads out of its folders to %r; %s" % (opened.real, reason)
        raise BadOutput("output file %s is not given out: %s" % (named, reason))


def _folder(prediction: Prediction) -> str:
    if not prediction.folder:
        raise BadOutput("an output file was returned, and there is no folder to keep it in")
    return prediction.folder


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

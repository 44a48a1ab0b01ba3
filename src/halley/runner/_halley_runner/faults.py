"""Describes a model's exception: in one line for the client, in full for the log."""

from __future__ import annotations

import traceback
from os import sep
from os.path import dirname, realpath
from typing import Any, List, Optional, Tuple

OWN = dirname(dirname(realpath(__file__)))
_shown: List[Tuple[str, str]] = []
MESSAGE_LIMIT_CHARS = 4000  # the log holds the full text


def one_line(error: BaseException, folder: str) -> str:
    """`ValueError: bad thing (predict.py:31)`: class, message, and the innermost place in the model's folder."""
    name = type(error).__name__
    message = _message(error)
    if isinstance(error, MemoryError):
        message = "out of memory" + (": " + message if message else "")
    if len(message) > MESSAGE_LIMIT_CHARS:
        message = message[:MESSAGE_LIMIT_CHARS] + "... (cut)"
    text = "%s: %s" % (name, message) if message else name
    place = None if isinstance(error, SyntaxError) else _innermost(error, folder)
    return "%s (%s)" % (text, place) if place else text


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as worse:  # str() of a model's own class may raise anything
        return "its text cannot be read: %s" % type(worse).__name__


def user_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without the runner's own frames."""
    shown = traceback.TracebackException(type(error), error, error.__traceback__)
    _cut(shown, set())
    return _with_original_paths("".join(shown.format()))


def show_paths_as(folder: str, original: str) -> None:
    """Show paths of `folder`, the copy in which the model runs, as paths of `original`, which the author knows."""
    _shown.append((folder + sep, original + sep))


def _with_original_paths(text: str) -> str:
    for copy, original in _shown:
        text = text.replace(copy, original)
    return text


def _innermost(error: BaseException, folder: str) -> Optional[str]:
    inside = realpath(folder) + sep
    place, step = None, error.__traceback__
    while step is not None:
        name = realpath(step.tb_frame.f_code.co_filename)
        # an environment may be inside the folder; its packages are not the model's own code
        if name.startswith(inside) and "site-packages" not in name:
            place = "%s:%d" % (name[len(inside) :], step.tb_lineno)
        step = step.tb_next
    return place


def _cut(shown: Any, seen: Any) -> None:
    if shown is None or id(shown) in seen:
        return
    seen.add(id(shown))
    kept = [frame for frame in shown.stack if not _is_own(frame.filename)]
    shown.stack = traceback.StackSummary.from_list(kept)
    _cut(shown.__cause__, seen)
    _cut(shown.__context__, seen)
    for part in getattr(shown, "exceptions", None) or ():
        _cut(part, seen)


def _is_own(filename: str) -> bool:
    return realpath(filename).startswith(OWN + sep) or filename.startswith("<frozen importlib")

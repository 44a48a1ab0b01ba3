"""A private view of the file system for one replica: what it writes to its model's folder and `/tmp` stays its own.

The model's folder keeps its path: an overlay is mounted over it, so that files written beside `__file__` go to the
replica's folder, as files in the working directory do. Bind mounts show the rest unchanged: the data folder,
environments, caches, mounts inside the folder, and what the operator shares. A single-file model runs in a copy
instead: the folder around the file, perhaps the user's home, does not belong to the model.
"""

from __future__ import annotations

import os
import sys
from os.path import exists, isdir, isfile, join, realpath
from typing import Any, Dict, Iterable, List, Set, Tuple

from . import mounts
from .plain import ENVIRONMENT_MARK, LINKED

MOST_LOOKED_AT = 100_000  # entries of the model's folder that are searched for links


def enter(place: Dict[str, Any], folder: str) -> None:
    """Change this process's view. Call it before any thread starts and before the model is imported.

    Raises:
        OSError: this system or this folder does not allow it; nothing has changed.
    """
    if realpath(folder) == "/":
        raise OSError("the model's folder is the root of the file system")
    own = place["folder"]
    in_user_namespace = mounts.unshare()
    mounts.make_mounts_private()
    done: List[str] = []
    try:
        kept = [*_kept(place), *_linked(folder, deep=not place.get("single"))]
        layer = place.get("layer") or ""
        lowers = [join(layer, "files")] if layer and isdir(join(layer, "files")) else []
        if not place.get("single"):
            _cover(folder, [*lowers, folder], join(own, "files"), kept, done, in_user_namespace)
        for number, temporary in enumerate(place["private"]):
            if not isdir(temporary) or realpath(temporary) in (realpath(folder), *done):
                continue
            under = [join(layer, "tmp%d" % number)] if layer and isdir(join(layer, "tmp%d" % number)) else []
            _replace(temporary, under, join(own, "tmp%d" % number), [folder, *kept], done, in_user_namespace)
    except BaseException:
        for target in reversed(done):
            mounts.unmount(target)
        raise
    finally:
        if in_user_namespace:
            mounts.drop_capabilities()


def _kept(place: Dict[str, Any]) -> List[str]:
    """Absolute paths that stay visible unchanged."""
    # the folder of our own modules is on the path, and an environment may be anywhere
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if isdir(path))]
    return [path for path in (*place.get("keep", ()), *python) if path.startswith("/") and exists(path)]


def _linked(folder: str, *, deep: bool) -> List[str]:
    """Where links in the model's folder point outside it: weights may be in a folder that an overlay will replace."""
    found: Set[str] = set()
    inside, looked_at, waiting = realpath(folder) + os.sep, 0, [folder]
    while waiting and looked_at < MOST_LOOKED_AT:
        for entry in _entries(waiting.pop()):
            looked_at += 1
            if not entry.is_symlink():
                is_looked_into = deep and entry.is_dir() and entry.name not in LINKED
                if is_looked_into and not exists(join(entry.path, ENVIRONMENT_MARK)):
                    waiting.append(entry.path)
            elif exists(entry.path):
                real = realpath(entry.path)
                if not (real + os.sep).startswith(inside):  # otherwise it would be visible without its overlay
                    found.add(real)
    return sorted(found)


def _entries(folder: str) -> List[Any]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # not readable for us
        return []


def _cover(target: str, lowers: List[str], own: str, kept: List[str], done: List[str], in_user: bool) -> None:
    through = _open_inside(target, kept)
    try:
        _overlay(lowers, own, target, done, in_user)
        _bind(through, done)
    finally:
        _close(through)


def _replace(target: str, lowers: List[str], own: str, kept: List[str], done: List[str], in_user: bool) -> None:
    through = _open_inside(target, kept)
    upper = join(own, "upper")
    os.makedirs(upper, exist_ok=True)
    os.chmod(upper, 0o1777)  # noqa: S103 - the mode of /tmp; the folder above belongs to the replica's user alone
    try:
        if lowers:
            _overlay(lowers, own, target, done, in_user)
        else:
            mounts.bind(upper, target)
            done.append(target)
        _bind(through, done)
    finally:
        _close(through)


def _overlay(lowers: List[str], own: str, target: str, done: List[str], in_user: bool) -> None:
    upper, work = join(own, "upper"), join(own, "work")
    os.makedirs(upper, exist_ok=True)
    os.makedirs(work, exist_ok=True)
    mounts.overlay(lowers, upper, work, target, in_user_namespace=in_user)
    done.append(target)


def _open_inside(target: str, kept: Iterable[str]) -> List[Tuple[str, int]]:
    """What is mounted or kept below `target`, each with a descriptor; only the outermost, since a bind includes what is
    inside.
    """
    inside = realpath(target) + "/"
    found: List[Tuple[str, int]] = []
    for path in sorted({realpath(path) for path in (*kept, *mounts.mounted())}):
        if path.startswith(inside) and not any(path.startswith(outer + "/") for outer, _ in found):
            try:
                found.append((path, mounts.open_path(path)))
            except OSError:  # removed meanwhile, or not readable for us
                continue
    return found


def _bind(through: List[Tuple[str, int]], done: List[str]) -> None:
    for path, number in through:
        source = mounts.by_descriptor(number)
        if not exists(path):
            _make_point(path, is_file=isfile(source))
        mounts.bind(source, path)
        done.append(path)


def _make_point(path: str, *, is_file: bool) -> None:
    if is_file:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    else:
        os.makedirs(path, exist_ok=True)


def _close(through: List[Tuple[str, int]]) -> None:
    for _, number in through:
        os.close(number)

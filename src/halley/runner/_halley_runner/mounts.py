"""Linux system calls for a private view of the file system, through ctypes: no external program is needed.

Folders are named by descriptors (`/proc/self/fd/N`), so that commas and colons in a name need no quoting, and a folder
can be named even if another mount covers it.
"""

from __future__ import annotations

import ctypes
import os
from typing import List

_NEW_MOUNTS = 0x00020000
_NEW_USER = 0x10000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_DETACH = 2
_CAPABILITY_VERSION = 0x20080522
_ESCAPED = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}

_libc = ctypes.CDLL(None, use_errno=True)


def unshare() -> bool:
    """Give this process its own view of the mounts; it must have one thread only. Returns True if it needed its own
    user namespace.

    Raises:
        OSError: the system refuses it.
    """
    if _libc.unshare(_NEW_MOUNTS) == 0:
        return False
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEW_MOUNTS | _NEW_USER), "a namespace of mounts")
    try:
        _write("/proc/self/setgroups", "deny")
    except FileNotFoundError:  # kernels before 3.19
        pass
    _write("/proc/self/uid_map", "%d %d 1" % (uid, uid))
    _write("/proc/self/gid_map", "%d %d 1" % (gid, gid))
    return True


def make_mounts_private() -> None:
    """Make later mounts visible to this process and its children only."""
    _check(_libc.mount(b"none", b"/", None, _REC | _PRIVATE, None), "a private tree of mounts")


def overlay(lowers: List[str], upper: str, work: str, target: str, *, in_user_namespace: bool) -> None:
    """Show `lowers`, the first on top, at `target`; what is written there goes to `upper`.

    Raises:
        OSError: an overlay is not possible on this file system.
    """
    opened: List[int] = []
    try:
        for folder in (*lowers, upper, work):
            opened += [open_path(folder)]
        names = [by_descriptor(number) for number in opened]
        options = "lowerdir=%s,upperdir=%s,workdir=%s" % (":".join(names[:-2]), names[-2], names[-1])
        if in_user_namespace:
            options += ",userxattr"
        status = _libc.mount(b"halley", os.fsencode(target), b"overlay", 0, options.encode())
        _check(status, "an overlay over %s" % target)
    finally:
        for number in opened:
            os.close(number)


def bind(source: str, target: str) -> None:
    """Show the folder or file `source`, and what is mounted in it, at `target`, which must exist."""
    status = _libc.mount(os.fsencode(source), os.fsencode(target), None, _BIND | _REC, None)
    _check(status, "%s at %s" % (source, target))


def unmount(target: str) -> None:
    """Undo the last mount at `target`."""
    _check(_libc.umount2(os.fsencode(target), _DETACH), "the end of the mount at %s" % target)


def open_path(path: str) -> int:
    """A descriptor that only names the path (O_PATH)."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def by_descriptor(number: int) -> str:
    """The `/proc` name of what a descriptor has open."""
    return "/proc/self/fd/%d" % number


def mounted() -> List[str]:
    """All mount points, in the order of mounting."""
    places = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            place = line.split(" ")[4]
            for escaped, character in _ESCAPED.items():
                place = place.replace(escaped, character)
            places.append(place)
    return places


def drop_capabilities() -> None:
    """Give up the rights of root that a process has in its own user namespace."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(header, nothing), "giving up rights")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _check(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (what, os.strerror(number)))

"""Where a replica works: the view or copy of its model's folder, its temporary folder, and the files that setup left.

`place` in the configuration is the server's request: `way` (`isolated`, `plain` or `off`), `folder` (the replica's own,
on the data's disk), `keep` (paths that stay visible unchanged), `private` (shared temporary folders to be replaced),
`layer` (what an earlier setup left) and `publish` (where to put what this setup leaves).
"""

from __future__ import annotations

import os
import stat
from os.path import isdir, join
from typing import Any, Dict, List, Optional, Tuple

from . import isolated, plain

MARK = "begun"


class Place:
    """How this process works, and in `why` the reason, where this is not what was requested."""

    def __init__(self, way: str, folder: str, own: str, why: str, *, is_copy: bool) -> None:
        self.way = way
        self.is_copy = is_copy
        """Whether `folder` is a copy of the model's folder, and not an overlay."""
        self.folder = folder
        """The model is imported from here; at first this is the working directory."""
        self.own = own
        self.why = why
        self.temporary = join(own, "tmp") if own else ""
        self._since = _mark(own) if own else 0

    def written(self) -> List[Tuple[str, str, str]]:
        """Everything written since the replica began, as (part of a layer, relative name, path to read)."""
        if self.way == "off":
            return []
        upper = join(self.own, "files", "upper")
        names = _changed(self.folder, self._since) if self.is_copy else _names(upper)
        found = [("files", name, join(self.folder, name)) for name in names]
        for part in sorted(os.listdir(self.own)):
            if part.startswith("tmp") and isdir(join(self.own, part, "upper")):
                upper = join(self.own, part, "upper")
                found += [(part, name, join(upper, name)) for name in _names(upper)]
        return found


def enter(config: Dict[str, Any]) -> Place:
    """Change to the place that the server prepared. Call it before any thread starts; changes `config["folder"]` for a
    copy.

    Raises:
        OSError: a file of the place cannot be written.
    """
    wanted: Optional[Dict[str, Any]] = config.get("place")
    folder = config["folder"]
    if not wanted or wanted["way"] == "off":
        return Place("off", folder, "", "", is_copy=False)
    way, why = wanted["way"], ""
    if way == "isolated":
        try:
            isolated.enter(wanted, folder)
        except OSError as error:
            way, why = "plain", str(error.strerror or error)
    is_copy = way == "plain" or bool(wanted.get("single"))
    if is_copy:
        config["source"] = folder
        config["folder"] = plain.fill_working_directory(wanted, folder)
    os.chdir(config["folder"])
    return Place(way, config["folder"], wanted["folder"], why, is_copy=is_copy)


def _mark(own: str) -> int:
    """The file system's current time, in ns: its clock may be coarser than ours."""
    path = join(own, MARK)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    return os.stat(path).st_ctime_ns


def _changed(folder: str, since: int) -> List[str]:
    return [name for name in _names(folder) if os.lstat(join(folder, name)).st_ctime_ns >= since]


def _names(folder: str) -> List[str]:
    """Files and links below a folder, as relative names, without sockets, pipes and markers of deleted files."""
    found: List[str] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for entry in os.scandir(join(folder, below)):
            name = join(below, entry.name)
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                waiting.append(name)
            elif stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                found.append(name)
    return sorted(found)

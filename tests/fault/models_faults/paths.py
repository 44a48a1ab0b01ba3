"""Gives back paths that lead nowhere, or out."""

import os
import tempfile

from cog import Path


def run(what: str = "missing") -> Path:
    folder = Path(tempfile.mkdtemp())
    if what == "link":
        (folder / "out.txt").symlink_to("/etc/passwd")
        return folder / "out.txt"
    if what == "chain":
        (folder / "inner").symlink_to("/etc")
        return folder / "inner" / "passwd"
    if what == "pipe":
        os.mkfifo(folder / "pipe")
        return folder / "pipe"
    if what == "removed":
        (folder / "gone.txt").write_text("here for a moment")
        (folder / "gone.txt").unlink()
        return folder / "gone.txt"
    return {
        "missing": Path("/nowhere/at/all.png"),
        "relative": Path("no such file.png"),
        "folder": folder,
        "self": Path("/proc/self/environ"),
        "device": Path("/dev/zero"),
    }[what]

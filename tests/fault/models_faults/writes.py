"""Writes where it should not: beside its run folder, into its input, into what is called temporary."""

import os
import tempfile

from cog import Path


def run(given: Path) -> str:
    inside = given.parent.parent
    (inside / "left.bin").write_bytes(b"1" * 1000)
    (inside.parent / "beside.bin").write_bytes(b"2" * 1000)
    (inside / "closed").mkdir()
    (inside / "closed" / "left.bin").write_bytes(b"3")
    (inside / "closed").chmod(0o500)
    given.write_text("changed")
    handle, name = tempfile.mkstemp(prefix="left-")
    os.write(handle, b"4" * 1000)
    os.makedirs(os.path.join(tempfile.gettempdir(), "left", "deep"))
    return name

"""Checks that isolation of a replica works on this system: `python probe.py JSON`. Exits with 0, or prints what is
missing.

It writes beside a pretended model and to `/tmp`, and starts a program in the isolated view; the parent process then
checks that none of these files is visible outside.
"""

from __future__ import annotations

import sys


def _check() -> None:
    import importlib
    import json
    import os
    import subprocess

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    isolated = importlib.import_module("_halley_runner.isolated")
    wanted = json.loads(sys.argv[1])
    own = wanted["place"]["folder"]
    isolated.enter(wanted["place"], wanted["folder"])
    for name in ("predict.py", "output.png"):
        with open(os.path.join(wanted["folder"], name), "w") as file:
            file.write("written")
    shared = "/tmp/halley-probe-%d" % os.getpid()  # noqa: S108 - this very folder is tested
    with open(shared, "w") as file:
        file.write("written")
    for part, name in (("files", "output.png"), ("tmp0", os.path.basename(shared))):
        if not os.path.exists(os.path.join(own, part, "upper", name)):
            raise OSError("what is written does not reach the replica's own folder")
    subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)


def _reason(error: Exception) -> str:
    what = str(getattr(error, "strerror", None) or error)
    path = getattr(error, "filename", None)
    return " ".join((f"{what}: {path}" if path else what).split())


if __name__ == "__main__":
    try:
        _check()
    except Exception as error:  # after any error, replicas run without isolation
        sys.exit(_reason(error))

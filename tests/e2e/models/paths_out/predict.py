"""Gives out files in every manner: its own, and such as it has no business with."""

import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Optional

from cog import BaseModel, BasePredictor, Path
from pydantic import BaseModel as Pydantic

HERE = pathlib.Path(__file__).parent


class Made(BaseModel):
    note: str
    file: Path


class Made2(Pydantic):
    file: pathlib.Path


def fresh(folder, name="made.txt"):
    path = pathlib.Path(folder) / f"paths-{os.getpid()}-{name}"
    path.write_text("ordinary")
    return path


def hard(target):
    link = pathlib.Path(tempfile.mkdtemp()) / "hard.txt"
    os.link(target, link)
    return link


def soft(target, name="soft.txt"):
    link = pathlib.Path(tempfile.mkdtemp()) / name
    link.symlink_to(target)
    return link


def by_number(target):
    return os.fdopen(os.open(target, os.O_RDONLY), "rb")


def unlinked(target):
    link = hard(target)
    opened = open(link, "rb")
    link.unlink()
    return opened


def blob_of(data):
    return next(path for path in pathlib.Path(data).glob("blobs/??/*") if path.is_file())


def neighbours_of(data):
    """The folder of a prediction that runs at the same time."""
    return next(path for path in sorted(pathlib.Path(data).glob("runs/*/inputs/*")) if path.read_text() == "CANARY")


ORDINARY = {
    "in the working directory": lambda _: fresh("."),
    "its text alone": lambda _: pathlib.PurePath(str(fresh(".").resolve())),
    "in the temporary folder": lambda _: fresh(tempfile.mkdtemp()),
    "in /tmp": lambda _: fresh("/tmp"),
    "in /dev/shm": lambda _: fresh("/dev/shm"),
    "copied with its old times": lambda self: shutil.copy2(HERE / "asset.txt", f"/tmp/paths-{os.getpid()}-copy2.txt"),
    "an asset of the model": lambda _: HERE / "asset.txt",
    "a link to an asset": lambda _: soft(HERE / "asset.txt"),
    "a link among the assets": lambda _: HERE / "link.txt",
    "made in setup": lambda self: self.weights,
    "a link to what setup made": lambda self: soft(self.weights),
    "a hard link to its own file": lambda _: hard(fresh(tempfile.mkdtemp())),
    "of a package": lambda _: pathlib.Path(sys.modules["pydantic"].__file__),
    "an open file": lambda _: open(fresh(".")),
    "a temporary file without a name": lambda _: temporary(),
    "in memory": lambda _: io.BytesIO(b"ordinary"),
    "the output of a command": lambda self: self.output_of("echo", "ordinary"),
    "in a list": lambda _: [fresh("."), "text"],
    "in a model": lambda _: Made(note="n", file=fresh(".")),
    "in a class of pydantic": lambda _: Made2(file=fresh(".")),
    "in a dict of lists": lambda _: {"a": [{"b": fresh(".")}]},
    "its input": lambda self: self.file,
}
FOREIGN = {
    "an old file": lambda canary, data: pathlib.Path(canary),
    "its text alone": lambda canary, data: pathlib.PurePath(canary),
    "by way of dots": lambda canary, data: pathlib.Path(os.path.relpath(canary)),
    "a link to it": lambda canary, data: soft(canary),
    "a link to its folder": lambda canary, data: soft(pathlib.Path(canary).parent, "f") / "canary.txt",
    "an open file": lambda canary, data: open(canary),
    "an open file by its number": lambda canary, data: by_number(canary),
    "its bytes under a stream of text": lambda canary, data: io.TextIOWrapper(by_number(canary)),
    "in a list": lambda canary, data: ["a", pathlib.Path(canary)],
    "in a model": lambda canary, data: Made(note="n", file=pathlib.Path(canary)),
    "in a class of pydantic": lambda canary, data: Made2(file=canary),
    "in a dict of lists": lambda canary, data: {"a": [{"b": open(canary)}]},
    "by the root of a process": lambda canary, data: pathlib.Path(f"/proc/self/root{canary}"),
    "the server's secrets": lambda canary, data: pathlib.Path(data) / "secrets.json",
    "a hard link to the secrets": lambda canary, data: hard(f"{data}/secrets.json"),
    "an open hard link to the secrets": lambda canary, data: open(hard(f"{data}/secrets.json")),
    "a hard link to the secrets, unlinked": lambda canary, data: unlinked(f"{data}/secrets.json"),
    "a link to the secrets": lambda canary, data: soft(f"{data}/secrets.json"),
    "the database": lambda canary, data: next(pathlib.Path(data).glob("*.db")),
    "a hard link to the database": lambda canary, data: hard(next(pathlib.Path(data).glob("*.db"))),
    "a stored file": lambda canary, data: blob_of(data),
    "a hard link to a stored file": lambda canary, data: hard(blob_of(data)),
    "its environment": lambda canary, data: pathlib.Path("/proc/self/environ"),
    "the server's environment": lambda canary, data: pathlib.Path(f"/proc/{os.getppid()}/environ"),
    "an open file of /proc": lambda canary, data: open("/proc/self/status"),
    "a device": lambda canary, data: pathlib.Path("/dev/zero"),
    "an open device": lambda canary, data: open("/dev/zero", "rb"),
    "a file of /sys": lambda canary, data: next(p for p in pathlib.Path("/sys/kernel").iterdir() if p.is_file()),
}


def temporary():
    file = tempfile.TemporaryFile()
    file.write(b"ordinary")
    return file


class Predictor(BasePredictor):
    def setup(self):
        self.weights = pathlib.Path(f"/tmp/paths-setup-{os.getpid()}.txt")
        self.weights.write_text("ordinary")

    def output_of(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        return self.process.stdout

    def predict(self, kind: str, canary: str = "", data: str = "", file: Optional[Path] = None) -> Any:
        self.file = file
        if canary:
            return FOREIGN[kind](canary, data)
        made = ORDINARY[kind](self)
        return pathlib.Path(made) if isinstance(made, str) else made

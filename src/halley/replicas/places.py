"""A separate place for each replica: its files, and how the system lets it be isolated.

The runner fills the place, see `_halley_runner/places.py`; this module makes the instructions for it.
"""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from halley.replicas.loading import ModelSource
from halley.replicas.setup_layers import SetupLayers
from halley.replicas.workspace import delete_folder
from halley.settings import IsolationSettings

Way = Literal["isolated", "plain", "off"]

PROBE_SECONDS: Final = 20.0
_PROBE: Final = Path(__file__).parent.parent / "runner" / "probe.py"
_TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108 - the folders that are private to each replica
_CACHES: Final = ("XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME")

_log = logging.getLogger(__name__)


class IsolationWay(msgspec.Struct, frozen=True, kw_only=True):
    """How replicas are isolated on this machine, and why not better."""

    way: Way
    why: str = ""

    def words(self) -> str:
        """The same in one line of text."""
        return f"{self.way}: {self.why}" if self.why else self.way


class ReplicaPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The place of one process. `folder` is its own, on the data's disk, and is deleted with it."""

    folder: Path
    config: dict[str, Any]

    @property
    def temporary(self) -> Path:
        """The folder for `TMPDIR`."""
        return self.folder / "tmp"

    def remove(self) -> None:
        """Delete the folder and everything in it. Blocks."""
        delete_folder(self.folder)


class Places:
    """Makes the places of a server. `root` contains them; `keep` are folders that every model sees unchanged.

    `found` may be given later.
    """

    def __init__(
        self,
        root: Path,
        *,
        found: IsolationWay | None = None,
        environ: Mapping[str, str],
        share: Sequence[str] = (),
        keep: Sequence[Path] = (),
        layers: SetupLayers,
    ) -> None:
        self._found = found
        self.layers: Final = layers
        self._root = root
        self._share = tuple(share)
        self._keep = [str(path) for path in keep] + [str(path) for path in _caches(environ)]

    @property
    def found(self) -> IsolationWay:
        """How processes are isolated. It must be found before the first place is made."""
        if self._found is None:
            raise RuntimeError("it was not tested yet how processes can be isolated")
        return self._found

    @found.setter
    def found(self, found: IsolationWay) -> None:
        self._found = found

    def make(self, source: ModelSource, version: str | None = None) -> ReplicaPlace:
        """A new place for a process of this model. With a `version`, files of an earlier setup are there, and new ones
        are kept.

        Raises:
            OSError: the folder cannot be made.
        """
        folder = Path(tempfile.mkdtemp(prefix="replica-", dir=self._root))
        (folder / "tmp").mkdir(mode=0o700)
        config: dict[str, Any] = {
            "way": self.found.way,
            "folder": str(folder),
            "keep": [*self._share, *self._keep, *_homes(source)],
            "private": [path for path in _TEMPORARY if path not in self._share],
            "path_conflicts": str(self._root),
        }
        if source.file is not None:
            config["single"] = source.file.name
        if version is not None and self.found.way != "off":
            config |= self.layers.wanted(version)
        return ReplicaPlace(folder=folder, config=config)

    def knows_setup(self, version: str) -> bool:
        """Whether the files of this version's setup are known, so that several processes may be set up at once."""
        return self.found.way == "off" or self.layers.is_kept(version)


def choose_isolation(isolation: IsolationSettings, folder: Path) -> IsolationWay:
    """Test whether a process can have its own view of the files. `folder` is on the data's disk. Blocks."""
    if isolation.mode != "auto":
        return IsolationWay(way=isolation.mode, why=f"isolation.mode is {isolation.mode}")
    if sys.platform != "linux":
        return IsolationWay(way="plain", why="only Linux has namespaces of mounts")
    home = Path(tempfile.mkdtemp(prefix="probe-", dir=folder))
    try:
        fault = _probe(home)
    finally:
        delete_folder(home)
    return IsolationWay(way="plain", why=fault) if fault else IsolationWay(way="isolated")


def _probe(home: Path) -> str:
    """Why it does not work; empty if it does."""
    model, own = home / "model", home / "own"
    for path in (model, own):
        path.mkdir()
    (model / "predict.py").write_text("")
    # a server's environment may be below /tmp, which is why its path is given: with -S Python does not add it
    keep = [str(home), sys.prefix, sys.exec_prefix]
    place = {"folder": str(own), "keep": keep, "private": list(_TEMPORARY)}
    command = [sys.executable, "-I", "-S", str(_PROBE), json.dumps({"place": place, "folder": str(model)})]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=PROBE_SECONDS, check=False, text=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return f"trying it took longer than {PROBE_SECONDS:g} s"
    except OSError as error:
        return f"it could not be tried: {error}"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"the trial ended with status {done.returncode}"])[-1][:300]
    if [path.name for path in model.iterdir()] != ["predict.py"]:
        return "what a model writes still reaches its folder"
    return ""


def _caches(environ: Mapping[str, str]) -> list[Path]:
    """The user's cache folders, which all models share."""
    named = [Path(environ[name]) for name in _CACHES if environ.get(name)]
    home = environ.get("HOME", "/")
    return [*named, Path(home), Path(home, ".cache")] if home != "/" else named


def _homes(source: ModelSource) -> list[str]:
    """The installation folders of the interpreter that runs the model."""
    python = Path(source.python)
    return [str(python.parent.parent)] if python.parent.name == "bin" else []

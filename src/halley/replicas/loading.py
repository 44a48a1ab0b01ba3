"""Reads what is needed to start a model from its path: `ModelSource`.

A model is a folder with `cog.yaml`, a folder with `run.py` or `predict.py`, or a single Python file. No code of the
model runs here.

Source: notes on Cog's `cog.yaml` (the keys that matter without Docker); `x-halley` is our own key.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

import halley
from halley.errors import Unusable
from halley.replicas.cog_yaml import CogFile, Installs, read_cog_yaml
from halley.replicas.form_yaml import with_form
from halley.settings import ModelSettings

CONVENTION: Final = ("run.py", "predict.py")  # in this order, as Cog prefers the newer name
SCHEMA_FILE: Final = Path(".cog", "openapi_schema.json")
_NAME: Final = re.compile(r"[\w.\-]{1,100}/[\w.\-]{1,100}", re.ASCII)


class ModelSource(msgspec.Struct, frozen=True, kw_only=True):
    """A model on the disk. `folder` is absolute and becomes the process's working directory."""

    name: str  # owner/name
    folder: Path
    ref: str  # "predict.py:Predictor"; the class may be missing
    file: Path | None = None  # set if the model is this single file; other files of the folder do not belong to it
    train_ref: str | None = None
    max_concurrency: int | None = None  # None: as declared in the code
    environment: dict[str, str] = {}
    memory_limit_bytes: int | None = None
    run_timeout_seconds: float | None = None
    setup_timeout_seconds: float | None = None
    replicas: int = 1  # processes that serve it, once it is loaded
    pinned: bool = False  # never unloaded to make room, or because it is idle
    gpu_memory_bytes: int | None = None  # memory that it uses of a device; None takes a whole device, if it needs one
    retention: str | None = None  # how long its predictions keep their data; None: the server's setting
    build: dict[str, Any] = {}  # as written
    installs: Installs = Installs()
    env: Literal["own", "current"] | None = None  # None: the server's setting
    environment_key: str | None = None  # of the environment of `python`; None: not built by Halley
    openapi_schema: bytes | None = None  # a schema that came with the model
    form: dict[str, Any] | None = None  # how its inputs are arranged in a form
    python: str = sys.executable  # the interpreter that runs it
    warnings: tuple[str, ...] = ()

    @property
    def needs_device(self) -> bool:
        """Whether it gets a GPU, if there is one."""
        return self.gpu_memory_bytes is not None or self.build.get("gpu") is True


def load_source(path: Path, *, name: str | None = None, owner: str = "local") -> ModelSource:
    """Read a model from a folder or a Python file. Blocks for a few small files. Without a `name` see `name_of`.

    Raises:
        Unusable: there is no model at the path; the message names the file, and the line if it is in `cog.yaml`.
    """
    path = _whole(path)
    try:
        return _from_path(path, fit_name(name or name_of(path, owner=owner)))
    except OSError as error:
        raise Unusable(f"The model {name or path} cannot be read: {error}.") from error


def name_of(path: Path, *, owner: str = "local") -> str:
    """`owner/<folder or file>`; characters that a name cannot have are replaced by `-`."""
    path = _whole(path)
    return f"{owner}/{_fit(path.stem if path.is_file() else path.name)}"


def _whole(path: Path) -> Path:
    """The absolute path, without `..`: a replica with a temporary folder of its own cannot go through `/tmp/x` to
    `/tmp/x/../model`. A link at its end stays, because it names the model.
    """
    path = path.expanduser().absolute()
    if ".." not in path.parts:
        return path
    return Path(os.path.realpath(path) if path.name == ".." else f"{os.path.realpath(path.parent)}/{path.name}")


def fit_name(name: str) -> str:
    """The name, if it is valid.

    Raises:
        Unusable: the name is not valid.
    """
    if _NAME.fullmatch(name) is None:
        raise Unusable(f"{name!r} cannot name a model: use owner/name of letters, digits, '.', '_' and '-'.")
    return name


def with_settings(source: ModelSource, settings: ModelSettings) -> ModelSource:
    """The operator's settings for a model override the model's own."""
    given: Mapping[str, Any] = {
        "max_concurrency": settings.concurrency,
        "run_timeout_seconds": settings.run_timeout_seconds,
        "memory_limit_bytes": settings.memory_limit_bytes,
        "env": settings.env,
        "replicas": settings.replicas,
        "pinned": settings.pinned,
        "gpu_memory_bytes": settings.gpu_memory_bytes,
        "retention": settings.retention,
    }
    return msgspec.structs.replace(source, **{key: value for key, value in given.items() if value is not None})


def demo_folders() -> Iterator[Path]:
    """The models that come with Halley, in order of their names."""
    home = Path(halley.__file__).parent / "demo"
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        if (folder / "cog.yaml").is_file() or _by_convention(folder):
            yield folder


def _from_path(path: Path, name: str) -> ModelSource:
    if path.is_file():
        return _from_file(path, name)
    if not path.is_dir():
        raise Unusable(f"The model {name} has no folder {path}: give the path of a folder or of a Python file.")
    other = path / "cog.yml"
    if (path / "cog.yaml").is_file():
        source = _from_cog_yaml(path, name, read_cog_yaml(path / "cog.yaml"))
        unread = (f"{other} is not read, because there is a cog.yaml in the same folder.",) if other.is_file() else ()
        return msgspec.structs.replace(source, warnings=(*source.warnings, *unread))
    if other.is_file():
        raise Unusable(f"{other} of the model {name} is not read, nor does Cog read it: rename it to cog.yaml.")
    ref = _by_convention(path)
    if ref is None:
        raise Unusable(f"The folder {path} of the model {name} has no cog.yaml, run.py or predict.py: is it a model?")
    return ModelSource(name=name, folder=path, ref=ref, openapi_schema=_ready_schema(path))


def _from_file(path: Path, name: str) -> ModelSource:
    if path.suffix != ".py":
        raise Unusable(f"{path} is not a Python file: a model is a folder or a file that ends in .py.")
    return ModelSource(name=name, folder=path.parent, ref=path.name, file=path)


def _from_cog_yaml(folder: Path, name: str, cog: CogFile) -> ModelSource:
    ref = cog.ref or _by_convention(folder)
    if ref is None:
        raise Unusable(f"{folder / 'cog.yaml'} has no `run` or `predict`, and beside it is no run.py or predict.py.")
    for wanted, key in ((ref, "run"), (cog.train_ref, "train")):
        if wanted is not None:
            _check_ref(folder, wanted, cog.lines.get(key))
    ready = _ready_schema(folder)
    return ModelSource(
        name=name,
        folder=folder,
        ref=ref,
        train_ref=cog.train_ref,
        max_concurrency=cog.max_concurrency,
        environment=_with_weights(cog),
        memory_limit_bytes=cog.memory_limit_bytes,
        run_timeout_seconds=cog.run_timeout_seconds,
        setup_timeout_seconds=cog.setup_timeout_seconds,
        replicas=cog.replicas or 1,
        pinned=bool(cog.pinned),
        gpu_memory_bytes=cog.gpu_memory_bytes,
        retention=cog.retention,
        build=cog.build,
        installs=cog.installs,
        openapi_schema=None if ready is None else with_form(ready, cog.form),
        form=cog.form,
        warnings=cog.warnings,
    )


def _with_weights(cog: CogFile) -> dict[str, str]:
    return ({"COG_WEIGHTS": cog.weights} if cog.weights is not None else {}) | cog.environment


def _check_ref(folder: Path, ref: str, line: int | None) -> None:
    file = ref.partition(":")[0]
    if not (folder / file).is_file() or not (folder / file).resolve().is_relative_to(folder.resolve()):
        where = f"{folder / 'cog.yaml'}{f', line {line}' if line else ''}"
        raise Unusable(f"{where}: {ref!r} names the file {file}, which is not in the folder.")


def _by_convention(folder: Path) -> str | None:
    return next((file for file in CONVENTION if (folder / file).is_file()), None)


def _ready_schema(folder: Path) -> bytes | None:
    path = folder / SCHEMA_FILE
    if not path.is_file():
        return None
    document = path.read_bytes()
    try:
        found = msgspec.json.decode(document)["components"]["schemas"]["Input"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise Unusable(f"{path} is not an OpenAPI document with an Input schema; remove or rebuild it.") from error
    if not isinstance(found, dict):
        raise Unusable(f"{path} has an Input schema that is no object; remove or rebuild it.")
    return document


def _fit(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")[:100] or "model"

"""Reads `cog.yaml`: keys that we use are checked strictly, unknown keys only cause a warning."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from halley.errors import Unusable
from halley.replicas.form_yaml import FORM_KEYS, FormTable
from halley.settings import parse_bytes, parse_seconds, read_period

if TYPE_CHECKING:
    import yaml

_KNOWN: Final[tuple[str, ...]] = (
    "build",
    "image",
    "model",
    "run",
    "predict",
    "train",
    "concurrency",
    "environment",
    "weights",
)
_BUILD: Final[tuple[str, ...]] = (
    "gpu",
    "cuda",
    "cudnn",
    "python_version",
    "python_requirements",
    "python_packages",
    "system_packages",
    "sdk_version",
    "pre_install",
    "run",
)
_OURS: Final[tuple[str, ...]] = (
    "memory_limit",
    "run_timeout",
    "setup_timeout",
    "replicas",
    "pinned",
    "gpu_memory",
    "retention",
    "form",
)
CONCURRENCY: Final = "COG_MAX_CONCURRENCY"  # has priority over `concurrency` and the decorator, as in Cog
SETUP_TIMEOUT: Final = "COG_SETUP_TIMEOUT"  # seconds
_LIMIT_BYTES: Final = 2**20  # a normal cog.yaml has one page

_PYTHON: Final = re.compile(r"\d+\.\d+(\.\d+)?")

N = TypeVar("N", int, float)


class Installs(msgspec.Struct, frozen=True, kw_only=True):
    """The packages and Python that a model asks for; paths are relative to the model's folder."""

    python_version: str | None = None
    requirements_file: str | None = None
    packages: tuple[str, ...] = ()


class CogFile(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a `cog.yaml` that matter without Docker. `lines` maps references to their line numbers."""

    ref: str | None = None
    train_ref: str | None = None
    max_concurrency: int | None = None
    environment: dict[str, str] = {}
    memory_limit_bytes: int | None = None
    run_timeout_seconds: float | None = None
    setup_timeout_seconds: float | None = None
    replicas: int | None = None
    pinned: bool | None = None
    gpu_memory_bytes: int | None = None
    retention: str | None = None
    form: dict[str, Any] | None = None  # how its inputs are arranged in a form (`form_yaml`)
    build: dict[str, Any] = {}
    installs: Installs = Installs()
    weights: str | None = None  # a path or a link for `setup(weights)`
    warnings: tuple[str, ...] = ()
    lines: dict[str, int] = {}


def read_cog_yaml(path: Path) -> CogFile:
    """Read the file.

    Raises:
        Unusable: it is not YAML, or a value that we need has the wrong type; names the file and the line.
    """
    return _Reader(path).read()


class _Reader:
    """One file being read: its values, and their line numbers."""

    def __init__(self, path: Path) -> None:
        import yaml  # loaded with the first file: the server accepts requests before it reads one

        self.path = path
        try:
            text = path.read_bytes()
            if len(text) > _LIMIT_BYTES:
                raise Unusable(f"{path} has {len(text):,} bytes; a cog.yaml has at most {_LIMIT_BYTES:,}.")
            self.top = yaml.safe_load(text)
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except OSError as error:
            raise Unusable(f"{path} cannot be read: {error.strerror}.") from error
        except yaml.YAMLError as error:
            raise Unusable(f"{path}{_at(error)} is not valid YAML: {_problem(error)}.") from error
        except (ValueError, RecursionError) as error:  # an impossible date, or text of nothing but brackets
            raise Unusable(f"{path} is not valid YAML: {error}.") from error
        if self.top is None:
            self.top = {}
        self.lines = dict(_lines(node)) if node is not None else {}
        self.written = dict(_scalars(node)) if node is not None else {}
        if not isinstance(self.top, dict):
            raise Unusable(f"{path}, line 1: expected keys and values, such as `run: run.py:Runner`.")

    def read(self) -> CogFile:
        key = "run" if "run" in self.top else "predict"
        lines = {name: line for name, line in self.lines.items() if name == "train"}
        return CogFile(
            ref=self.text(key),
            train_ref=self.text("train"),
            max_concurrency=self.variable(CONCURRENCY) or self.count("concurrency", "max"),
            environment=self.environment(),
            memory_limit_bytes=self.measure("x-halley", "memory_limit", parse_bytes),
            run_timeout_seconds=self.measure("x-halley", "run_timeout", parse_seconds),
            setup_timeout_seconds=self.measure("x-halley", "setup_timeout", parse_seconds)
            or self.variable(SETUP_TIMEOUT),
            replicas=self.count("x-halley", "replicas"),
            pinned=self.choice("x-halley", "pinned"),
            gpu_memory_bytes=self.measure("x-halley", "gpu_memory", parse_bytes),
            retention=self.period("x-halley", "retention"),
            form=self.form(),
            build=self.table("build"),
            installs=self.installs(),
            weights=self.weights(),
            warnings=(*self.warnings(), *self.not_installed(), *self.not_fetched(), *self.not_counted()),
            lines=lines | ({"run": self.lines[key]} if key in self.lines else {}),
        )

    def wrong(self, name: str, wanted: str) -> Unusable:
        line = self.lines.get(name) or self.lines.get(name.partition(".")[0]) or 1
        return Unusable(f"{self.path}, line {line}: `{name}` must be {wanted}.")

    def text(self, name: str) -> str | None:
        value = self.top.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, "a reference such as predict.py:Predictor")
        return value.strip()

    def table(self, name: str) -> dict[str, Any]:
        value = self.top.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.wrong(name, "a table of keys and values")
        return {str(key): member for key, member in value.items()}

    def count(self, name: str, key: str) -> int | None:
        value = self.table(name).get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(f"{name}.{key}", "a whole number from 1")
        return value

    def choice(self, name: str, key: str) -> bool | None:
        value = self.table(name).get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f"{name}.{key}", "true or false")
        return value

    def measure(self, name: str, key: str, parse: Callable[[str], N]) -> N | None:
        value = self.table(name).get(key)
        if value is None:
            return None
        try:
            found = parse(str(value))
        except ValueError as error:
            raise self.wrong(f"{name}.{key}", str(error).removeprefix("expected ")) from error
        if found <= 0:
            raise self.wrong(f"{name}.{key}", "more than nothing")
        return found

    def period(self, name: str, key: str) -> str | None:
        value = self.table(name).get(key)
        if value is None:
            return None
        try:
            return read_period(value)
        except ValueError as error:
            raise self.wrong(f"{name}.{key}", str(error).removeprefix("expected ")) from error

    def form(self) -> dict[str, Any] | None:
        value = self.table("x-halley").get("form")
        return None if value is None else FormTable(value, self.wrong).read()

    def environment(self) -> dict[str, str]:
        """The variables. Cog writes a list of `NAME=value`; a mapping is accepted as well."""
        value = self.top.get("environment")
        if value is None:
            return {}
        if isinstance(value, dict):
            return {str(key): str(member) for key, member in value.items()}
        if not isinstance(value, list) or not all(isinstance(item, str) and "=" in item for item in value):
            raise self.wrong("environment", "a list of NAME=value")
        return {name: rest for name, _, rest in (item.partition("=") for item in value)}

    def variable(self, name: str) -> int | None:
        """The value of one of Cog's variables; anything but an integer from 1 is ignored, as in Cog."""
        text = self.environment().get(name, "").strip()
        return int(text) or None if text.isascii() and text.isdecimal() and len(text) < 10 else None

    def not_counted(self) -> list[str]:
        """Cog's variables that are ignored."""
        given = self.environment()
        ignored = [name for name in (CONCURRENCY, SETUP_TIMEOUT) if name in given and self.variable(name) is None]
        return [
            self.note("environment", f"{name} is ignored: {given[name]!r} is no whole number from 1")
            for name in ignored
            if (name, given[name].strip()) != (SETUP_TIMEOUT, "0")  # Cog's value for "no timeout"
        ]

    def installs(self) -> Installs:
        build = self.table("build")
        version = build.get("python_version")
        if version is not None and not isinstance(version, str | float | int):
            raise self.wrong("build.python_version", 'a version such as "3.11"')
        if version is not None:  # as text: YAML reads 3.10 as the number 3.1
            version = self.written.get("build.python_version", str(version)).strip()
            if _PYTHON.fullmatch(version) is None:
                raise self.wrong("build.python_version", 'a version such as "3.11"')
        file = build.get("python_requirements")
        if file is not None and (not isinstance(file, str) or not file.strip()):
            raise self.wrong("build.python_requirements", "the path of a requirements file")
        if file is not None and not (self.path.parent / file.strip()).is_file():
            raise self.wrong("build.python_requirements", f"a file that is there; {file.strip()} is not in the folder")
        return Installs(
            python_version=version,
            requirements_file=file.strip() if file is not None else None,
            packages=tuple(self.words("build", "python_packages")),
        )

    def words(self, name: str, key: str) -> list[str]:
        value = self.table(name).get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            raise self.wrong(f"{name}.{key}", "a list of texts")
        return [item.strip() for item in value]

    def not_installed(self) -> list[str]:
        """What a Cog image would contain and this machine may lack: a warning for each, with a way to replace it."""
        found = []
        packages = self.words("build", "system_packages")
        if packages:
            line = f"sudo apt-get install -y {' '.join(packages)}"
            found.append(self.note("build.system_packages", f"not installed by Halley. If they are missing: {line}"))
        for key in ("pre_install", "run"):
            value = self.table("build").get(key)
            listed = value if isinstance(value, list) else [] if value is None else [value]
            commands = [item.get("command") if isinstance(item, dict) else item for item in listed]
            if not all(isinstance(command, str) for command in commands):
                raise self.wrong(f"build.{key}", "a list of commands")
            for command in commands:
                text = f"not run, and so not installed, by Halley. If the model needs it, in its folder: {command}"
                found.append(self.note(f"build.{key}", text))
        return found

    def weights(self) -> str | None:
        """The path that `setup(weights)` gets: the first one that exists."""
        value = self.top.get("weights")
        if isinstance(value, str):
            return value.strip() or None
        return next((path for path, _ in self.weight_paths() if path is not None), None)

    def weight_paths(self) -> list[tuple[str | None, str]]:
        """For each entry: its path on this machine, or None; and the entry as written."""
        value = self.top.get("weights")
        if value is None or isinstance(value, str):
            return []
        if not isinstance(value, list) or not all(isinstance(item, str | dict) for item in value):
            raise self.wrong("weights", "a path, or a list of tables with name, target and source")
        found = []
        for item in value:
            entry = {"target": item} if isinstance(item, str) else item
            source = entry.get("source")
            uri = source.get("uri") if isinstance(source, dict) else source
            places = [place.removeprefix("file://") for place in (entry.get("target"), uri) if isinstance(place, str)]
            here = next((place for place in places if (self.path.parent / place).exists()), None)
            found.append((here, str(uri or entry.get("name") or entry.get("target"))))
        return found

    def not_fetched(self) -> list[str]:
        value = self.top.get("weights")
        if isinstance(value, str) and "://" not in value and not (self.path.parent / value.strip()).exists():
            return [self.note("weights", f"{value.strip()} is not there")]
        missing = [name for here, name in self.weight_paths() if here is None]
        if not missing:
            return []
        text = f"{', '.join(missing)}: not fetched by Halley. Download it to the path that `target` names"
        return [self.note("weights", text)]

    def note(self, name: str, text: str) -> str:
        line = self.lines.get(name) or self.lines.get(name.partition(".")[0]) or 1
        return f"{self.path}, line {line}: `{name}`: {text}"

    def warnings(self) -> list[str]:
        known = [(str(key), _KNOWN, "") for key in self.top if not str(key).startswith("x-")]
        known += [(key, _OURS, "x-halley.") for key in self.table("x-halley")]
        known += [(str(key), FORM_KEYS, "x-halley.form.") for key in self.table("x-halley").get("form") or ()]
        known += [(key, _BUILD, "build.") for key in self.table("build")]
        return [self.unknown(key, names, prefix) for key, names, prefix in known if key not in names]

    def unknown(self, key: str, names: tuple[str, ...], prefix: str) -> str:
        from difflib import get_close_matches  # needed for warnings only

        close = get_close_matches(key, names, n=1)
        hint = f" Did you mean `{prefix}{close[0]}`?" if close else ""
        line = self.lines.get(f"{prefix}{key}", 1)
        return f"{self.path}, line {line}: `{prefix}{key}` is not a key that Halley knows; it is ignored.{hint}"


def _lines(node: yaml.Node, prefix: str = "") -> list[tuple[str, int]]:
    import yaml

    if not isinstance(node, yaml.MappingNode) or prefix.count(".") > 2:
        return []
    found = []
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        found += [(name, key.start_mark.line + 1), *_lines(value, f"{name}.")]
    return found


def _scalars(node: yaml.Node, prefix: str = "") -> list[tuple[str, str]]:
    import yaml

    if not isinstance(node, yaml.MappingNode) or prefix.count(".") > 1:
        return []
    found = []
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        found += [(name, str(value.value))] if isinstance(value, yaml.ScalarNode) else _scalars(value, f"{name}.")
    return found


def _at(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)

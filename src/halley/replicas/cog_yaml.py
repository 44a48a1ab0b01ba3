"""`cog.yaml`, read strictly where we use it and mildly where we do not: unknown keys only warn."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from halley.errors import Unusable
from halley.settings import parse_bytes, parse_seconds

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
_OURS: Final[tuple[str, ...]] = ("memory_limit", "run_timeout", "setup_timeout")
_LIMIT_BYTES: Final = 2**20  # a cog.yaml is a page; more is a mistake

N = TypeVar("N", int, float)


class CogFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a `cog.yaml` says, as far as it matters without Docker. `lines` tells where the references stand."""

    ref: str | None = None
    train_ref: str | None = None
    max_concurrency: int | None = None
    environment: dict[str, str] = {}
    memory_limit_bytes: int | None = None
    run_timeout_seconds: float | None = None
    setup_timeout_seconds: float | None = None
    build: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    lines: dict[str, int] = {}


def read_cog_yaml(path: Path) -> CogFile:
    """Read the file.

    Raises:
        Unusable: it is not YAML, or a value that we need is of the wrong kind; names the file and the line.
    """
    return _Reader(path).read()


class _Reader:
    """One file being read: its values, and where they stand."""

    def __init__(self, path: Path) -> None:
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
        except (ValueError, RecursionError) as error:  # an impossible date, a text that is nothing but brackets
            raise Unusable(f"{path} is not valid YAML: {error}.") from error
        if self.top is None:
            self.top = {}
        self.lines = dict(_lines(node)) if node is not None else {}
        if not isinstance(self.top, dict):
            raise Unusable(f"{path}, line 1: expected keys and values, such as `run: run.py:Runner`.")

    def read(self) -> CogFile:
        key = "run" if "run" in self.top else "predict"
        lines = {name: line for name, line in self.lines.items() if name == "train"}
        return CogFile(
            ref=self.text(key),
            train_ref=self.text("train"),
            max_concurrency=self.count("concurrency", "max"),
            environment=self.environment(),
            memory_limit_bytes=self.measure("x-halley", "memory_limit", parse_bytes),
            run_timeout_seconds=self.measure("x-halley", "run_timeout", parse_seconds),
            setup_timeout_seconds=self.measure("x-halley", "setup_timeout", parse_seconds),
            build=self.table("build"),
            warnings=tuple(self.warnings()),
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

    def environment(self) -> dict[str, str]:
        """Cog writes a list of `NAME=value`; a table is taken as well."""
        value = self.top.get("environment")
        if value is None:
            return {}
        if isinstance(value, dict):
            return {str(key): str(member) for key, member in value.items()}
        if not isinstance(value, list) or not all(isinstance(item, str) and "=" in item for item in value):
            raise self.wrong("environment", "a list of NAME=value")
        return {name: rest for name, _, rest in (item.partition("=") for item in value)}

    def warnings(self) -> list[str]:
        known = [(str(key), _KNOWN, "") for key in self.top if not str(key).startswith("x-")]
        known += [(key, _OURS, "x-halley.") for key in self.table("x-halley")]
        return [self.unknown(key, names, prefix) for key, names, prefix in known if key not in names]

    def unknown(self, key: str, names: tuple[str, ...], prefix: str) -> str:
        close = get_close_matches(key, names, n=1)
        hint = f" Did you mean `{prefix}{close[0]}`?" if close else ""
        line = self.lines.get(f"{prefix}{key}", 1)
        return f"{self.path}, line {line}: `{prefix}{key}` is not a key that Halley knows; it is ignored.{hint}"


def _lines(node: yaml.Node, prefix: str = "") -> list[tuple[str, int]]:
    if not isinstance(node, yaml.MappingNode) or prefix.count(".") > 1:
        return []
    found = []
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        found += [(name, key.start_mark.line + 1), *_lines(value, f"{name}.")]
    return found


def _at(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)

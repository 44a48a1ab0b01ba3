"""Turns `k=v`, `k=@file` and `k:=json` into the input of a prediction."""

from __future__ import annotations

import base64
import json
import mimetypes
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from halley.cli.client import Json
from halley.cli.failures import ServerRefused, Unreachable, UsageProblem
from halley.cli.schemas import input_properties, is_text_stream, kinds_of, takes_files, takes_text

__all__ = ["Pair", "build_input", "input_properties", "is_text_stream", "read_pairs", "send_file"]

DATA_URL_BYTES: Final = 10_000_000  # the limit of the official JavaScript client (contract section 6.2)
STDIN: Final = "-"
_NO_FILES_API: Final = frozenset({404, 405, 501})
_AT_HINT: Final = "Text that begins with @ is written as JSON: name:='\"@x\"'."


class Pair(msgspec.Struct, frozen=True):
    """One input of the command line: a value as text, decoded JSON, or a file."""

    name: str
    text: str = ""
    file: Path | None = None
    value: Any = msgspec.UNSET


def read_pairs(words: Iterable[str]) -> list[Pair]:
    """Parse the inputs of a command line, and check that their files exist.

    Raises:
        UsageProblem: a word, its JSON or its file cannot be read.
    """
    pairs = [_pair(word) for word in words]
    if sum(pair.file == Path(STDIN) for pair in pairs) > 1:
        raise UsageProblem("Standard input can be used for only one input.")
    return pairs


def build_input(
    words: Iterable[str | Pair],
    properties: Json | None,
    upload: Callable[[Path], str],
    on_hint: Callable[[str], None] = lambda _: None,
) -> Json:
    """Return the input object. `properties` are those of the Input schema, if known: they decide what `k=v` and
    `k=@file` mean.

    A name that is given several times becomes a list.

    Raises:
        UsageProblem: a pair, a file or a value that cannot be read.
    """
    by_name: dict[str, list[Pair]] = {}
    for word in words:
        pair = word if isinstance(word, Pair) else _pair(word)
        if properties and pair.name not in properties:
            _suggest(pair.name, properties)
        by_name.setdefault(pair.name, []).append(pair)
    reader = _Values(upload, on_hint)
    return {name: reader.value_of(pairs, (properties or {}).get(name)) for name, pairs in by_name.items()}


def send_file(path: Path, upload: Callable[[Path], str]) -> str:
    """Upload a file; if the server has no files API, put it into a `data:` URL.

    Raises:
        UsageProblem: it cannot be read, or is too large for a `data:` URL.
    """
    if path == Path(STDIN):
        with tempfile.TemporaryDirectory(prefix="halley-") as folder:
            copy = Path(folder) / "stdin"
            copy.write_bytes(sys.stdin.buffer.read())
            return send_file(copy, upload)
    _check_file(path)
    try:
        return upload(path)
    except ServerRefused as refused:
        if refused.status not in _NO_FILES_API:
            raise
    except Unreachable as error:
        if isinstance(error.__cause__, Exception):  # the connection broke: the server may have a files API
            raise
    size = path.stat().st_size
    if size > DATA_URL_BYTES:
        raise UsageProblem(
            f"This server does not accept file uploads, and {path} ({size} bytes) is too large for a data: URL"
            f" ({DATA_URL_BYTES} bytes).",
            hint="Put the file on a web server and pass its URL.",
        )
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


class _Values:
    """Turns pairs into values, by the schema of their input."""

    def __init__(self, upload: Callable[[Path], str], on_hint: Callable[[str], None]) -> None:
        self._upload = upload
        self._on_hint = on_hint

    def value_of(self, pairs: list[Pair], schema: Any) -> Any:
        kinds = kinds_of(schema)
        if len(pairs) == 1:
            return self._one(pairs[0], schema)
        if kinds and "array" not in kinds:
            raise UsageProblem(f"{pairs[0].name} is given {len(pairs)} times, but accepts only one value.")
        items: list[Any] = []
        for pair in pairs:
            made = self._one(pair, _as_list(schema))
            items += made if isinstance(made, list) else [made]
        return items

    def _one(self, pair: Pair, schema: Any) -> Any:
        if pair.value is not msgspec.UNSET:
            return pair.value
        if pair.file is not None:
            return self._of_file(pair, pair.file, schema)
        self._look_for_file(pair, schema)
        return _plain(pair.name, pair.text, schema)

    def _of_file(self, pair: Pair, path: Path, schema: Any) -> Any:
        kinds = kinds_of(schema)
        if not kinds or takes_files(schema):
            return send_file(path, self._upload)
        if "array" in kinds and takes_files(_as_list(schema).get("items")):
            return [send_file(path, self._upload)]
        text = _text_of(path)
        is_text = "string" in kinds
        # a line break at the end of a file does not belong to a number or a secret
        return text if is_text and schema.get("format") != "password" else _plain(pair.name, text.strip(), schema)

    def _look_for_file(self, pair: Pair, schema: Any) -> None:
        """Print a hint if the @ was forgotten."""
        inner = _as_list(schema).get("items") if "array" in kinds_of(schema) else schema
        if kinds_of(schema) and not takes_files(inner):
            return
        if "://" in pair.text or pair.text.startswith("data:") or not _is_file(pair.text):
            return
        hint = f"To send the file, write {pair.name}=@{pair.text}"
        if takes_files(inner) and not takes_text(inner):
            raise UsageProblem(f"{pair.name} takes a file, but {pair.text!r} is sent as text.", hint=f"{hint}.")
        self._on_hint(f"{pair.name}={pair.text} is sent as text. {hint}.")


def _pair(word: str) -> Pair:
    match = re.fullmatch(r"([^=:]+)(:=|=)(.*)", word, re.DOTALL)
    if match is None:
        raise UsageProblem(f"{word!r} is not an input.", hint="Write name=text, name=@file, or name:=JSON.")
    name, sign, text = match.groups()
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise UsageProblem(f"The value of {name!r} is not UTF-8 text.", hint=f"Send bytes as {name}=@file.") from error
    if sign == ":=":
        return Pair(name, value=_json(name, text))
    if not text.startswith("@"):
        return Pair(name, text)
    path = Path(text[1:]) if text[1:] == STDIN else Path(text[1:]).expanduser()
    if path != Path(STDIN):
        _check_file(path)
    return Pair(name, file=path)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UsageProblem(f"{path} is a folder, not a file.")
    if not path.exists():
        raise UsageProblem(f"There is no file {path}.", hint=_AT_HINT)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}.") from error


def _text_of(path: Path) -> str:
    data = sys.stdin.buffer.read() if path == Path(STDIN) else path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path} is not UTF-8 text, and its input takes text.") from error


def _is_file(text: str) -> bool:
    try:
        return bool(text) and len(text) < 1000 and Path(text).is_file()
    except (OSError, ValueError):
        return False


def _as_list(schema: Any) -> Any:
    """Return the part of a schema that accepts lists."""
    if not isinstance(schema, dict) or schema.get("type") == "array":
        return schema
    parts = [part for word in ("anyOf", "oneOf") for part in schema.get(word) or [] if isinstance(part, dict)]
    return next((part for part in parts if part.get("type") == "array"), schema)


def _plain(name: str, value: str, schema: Any) -> Any:
    kinds = kinds_of(schema)
    if "string" in kinds:
        return value
    if not kinds:  # unknown type: text that looks like a number or a boolean becomes one
        return json.loads(value) if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false", value) else value
    if "boolean" in kinds and value.lower() in {"true", "false", "yes", "no", "on", "off", "1", "0"}:
        return value.lower() in {"true", "yes", "on", "1"}
    if kinds & {"integer", "number"} and re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", value):
        return int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
    if kinds & {"array", "object"}:
        return _json(name, value) if value[:1] in {"[", "{"} else [_plain(name, value, schema.get("items"))]
    return value  # the server reports best what is wrong with it


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageProblem(
            f"The value of {name} is not JSON: {error}.", hint=f"Plain text is written {name}=text."
        ) from error


def _suggest(name: str, properties: Json) -> None:
    from difflib import get_close_matches

    close = get_close_matches(name, list(properties), n=1)
    hint = f"Did you mean {close[0]}?" if close else f"It takes: {', '.join(properties)}."
    raise UsageProblem(f"The model has no input {name}.", hint=hint)

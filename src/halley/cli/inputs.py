"""`k=v`, `k=@file` and `k:=json` become the input of a prediction."""

from __future__ import annotations

import base64
import json
import mimetypes
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from halley.cli.client import Json
from halley.cli.failures import ServerRefused, Unreachable, UsageProblem

DATA_URL_BYTES: Final = 10_000_000  # where the official JavaScript client stops, too (contract section 6.2)
_NO_FILES_API: Final = frozenset({404, 405, 501})


def build_input(pairs: Iterable[str], properties: Json | None, upload: Callable[[Path], str]) -> Json:
    """Give the input object. `properties` is the Input schema's, if known: it decides what `k=v` means.

    Raises:
        UsageProblem: a pair, a file or a value that cannot be read.
    """
    result: Json = {}
    for pair in pairs:
        match = re.fullmatch(r"([^=:]+)(:=|=)(.*)", pair, re.DOTALL)
        if match is None:
            raise UsageProblem(f"{pair!r} is not an input.", hint="Write name=text, name=@file, or name:=JSON.")
        name, sign, value = match.groups()
        if properties and name not in properties:
            _suggest(name, properties)
        if sign == ":=":
            result[name] = _json(name, value)
        elif value.startswith("@"):
            result[name] = send_file(Path(value[1:]).expanduser(), upload)
        else:
            result[name] = _plain(name, value, (properties or {}).get(name) if properties is not None else None)
    return result


def send_file(path: Path, upload: Callable[[Path], str]) -> str:
    """Upload a file; where the server has no files API, put it into a `data:` URL.

    Raises:
        UsageProblem: it cannot be read, or is too large for a `data:` URL.
    """
    if not path.is_file():
        raise UsageProblem(
            f"There is no file {path}.", hint="Text that begins with @ is written as JSON: name:='\"@x\"'."
        )
    try:
        return upload(path)
    except ServerRefused as refused:
        if refused.status not in _NO_FILES_API:
            raise
    except Unreachable as error:
        if isinstance(error.__cause__, Exception):  # the connection broke: not the answer of a server without files
            raise
    size = path.stat().st_size
    if size > DATA_URL_BYTES:
        raise UsageProblem(
            f"This server takes no file uploads, and {path} ({size} bytes) is too large for a data: URL"
            f" ({DATA_URL_BYTES} bytes).",
            hint="Put the file on a web server and pass its URL.",
        )
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def input_properties(schema: Any) -> Json | None:
    """Find the properties of `Input` in a version's OpenAPI document; None where it says nothing usable."""
    try:
        properties = schema["components"]["schemas"]["Input"]["properties"]
    except (KeyError, TypeError):
        return None
    return {key: _resolved(item, schema) for key, item in properties.items()} if isinstance(properties, dict) else None


def is_text_stream(schema: Any) -> bool:
    """True if the output is text in pieces that belong together."""
    try:
        return bool(schema["components"]["schemas"]["Output"].get("x-cog-array-display") == "concatenate")
    except (KeyError, TypeError, AttributeError):
        return False


def _plain(name: str, value: str, schema: Any) -> Any:
    kinds = _kinds(schema) if isinstance(schema, dict) else set()
    if "string" in kinds:
        return value
    if not kinds:  # nothing known: what looks like a number or a truth value is one
        return json.loads(value) if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false", value) else value
    if "boolean" in kinds and value.lower() in {"true", "false", "yes", "no", "on", "off", "1", "0"}:
        return value.lower() in {"true", "yes", "on", "1"}
    if kinds & {"integer", "number"} and re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", value):
        return int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
    if kinds & {"array", "object"}:
        return _json(name, value) if value[:1] in {"[", "{"} else [_plain(name, value, schema.get("items"))]
    return value  # the server says best what is wrong with it


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageProblem(
            f"The value of {name} is not JSON: {error}.", hint=f"Plain text is written {name}=text."
        ) from error


def _kinds(schema: Json) -> set[str]:
    found = schema.get("type")
    own = {found} if isinstance(found, str) else set(found) if isinstance(found, list) else set()
    parts = [part for word in ("anyOf", "oneOf", "allOf") for part in schema.get(word) or [] if isinstance(part, dict)]
    return own.union(*(_kinds(part) for part in parts)) - {"null"}


def _resolved(item: Any, document: Any) -> Any:
    # choices are `allOf: [{$ref: "#/components/schemas/<name>"}]`, always one level deep (contract section 10.2)
    if not isinstance(item, dict):
        return item
    result = dict(item)
    parts = result.get("allOf") or []
    result["allOf"] = [
        document["components"]["schemas"].get(part["$ref"].rpartition("/")[2], {})
        if isinstance(part, dict) and isinstance(part.get("$ref"), str)
        else part
        for part in parts
    ]
    return result


def _suggest(name: str, properties: Json) -> None:
    from difflib import get_close_matches

    close = get_close_matches(name, list(properties), n=1)
    hint = f"Did you mean {close[0]}?" if close else f"It takes: {', '.join(properties)}."
    raise UsageProblem(f"The model has no input {name}.", hint=hint)

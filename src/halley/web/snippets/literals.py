"""JSON values as literals of a language, exactly: each literal evaluates to the value.

Characters that are not printable are escaped. Among them are those that change the direction of the text around them,
so that what a reader sees is what runs (CVE-2021-42574).
"""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

_SHORT: Final = 72  # characters of a list or object that stays on one line
_SAFE_INTEGER: Final = 2**53  # larger ones have no exact value in JavaScript
_INT64: Final = range(-(2**63), 2**63)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one language writes values."""

    null: str
    true: str
    false: str
    text: Callable[[str], str]
    key: Callable[[str], str]
    integer: Callable[[int], str] = str
    object_start: str = "{"
    object_end: str = "}"
    list_start: str = "["
    list_end: str = "]"
    object_padding: str = ""  # inside the braces of an object on one line
    indent: str = "    "
    trailing_comma: bool = True


def literal(value: Any, dialect: Dialect, level: int = 0) -> str:
    """The value as a literal; `level` is the indentation of the line on which it begins."""
    match value:
        case None:
            return dialect.null
        case bool():
            return dialect.true if value else dialect.false
        case int():
            return dialect.integer(value)
        case float():
            return repr(value)
        case str():
            return dialect.text(value)
        case dict():
            parts = [f"{dialect.key(key)}: {literal(item, dialect, level + 1)}" for key, item in value.items()]
            return _joined(parts, dialect.object_start, dialect.object_end, dialect, level, dialect.object_padding)
        case list():
            parts = [literal(item, dialect, level + 1) for item in value]
            return _joined(parts, dialect.list_start, dialect.list_end, dialect, level)
        case _:
            raise TypeError(f"not a JSON value: {type(value).__name__}")


def _joined(parts: list[str], start: str, end: str, dialect: Dialect, level: int, padding: str = "") -> str:
    line = ", ".join(parts)
    if not line:
        return f"{start}{end}"
    if len(line) <= _SHORT and "\n" not in line:
        return f"{start}{padding}{line}{padding}{end}"
    inside = dialect.indent * (level + 1)
    comma = "," if dialect.trailing_comma else ""
    lines = f",\n{inside}".join(parts)
    return f"{start}\n{inside}{lines}{comma}\n{dialect.indent * level}{end}"


def _quoted(text: str, escape: Callable[[str], str]) -> str:
    return f'"{"".join(_NAMED.get(one) or (one if one.isprintable() else escape(one)) for one in text)}"'


_NAMED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _python(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _javascript(one: str) -> str:
    code = ord(one)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\u{{{code:x}}}"


def _go(one: str) -> str:
    code = ord(one)
    if 0xD800 <= code <= 0xDFFF:
        return "\\ufffd"  # Go has no halves of characters
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json(one: str) -> str:
    return json.dumps(one)[1:-1]


def _python_text(text: str) -> str:
    return _quoted(text, _python)


def _javascript_text(text: str) -> str:
    return _quoted(text, _javascript)


def _javascript_key(name: str) -> str:
    if name == "__proto__":
        return '["__proto__"]'  # without brackets it would set the prototype
    is_word = name.isascii() and name.isidentifier()
    return name if is_word else _javascript_text(name)


def _go_text(text: str) -> str:
    return _quoted(text, _go)


def _go_integer(value: int) -> str:
    # an untyped constant becomes an int
    return str(value) if value in _INT64 else f'json.Number("{value}")'


def _json_text(text: str) -> str:
    return _quoted(text, _json)


PYTHON: Final = Dialect(null="None", true="True", false="False", text=_python_text, key=_python_text)
JAVASCRIPT: Final = Dialect(
    null="null",
    true="true",
    false="false",
    text=_javascript_text,
    key=_javascript_key,
    indent="  ",
    object_padding=" ",
)
GO: Final = Dialect(
    null="nil",
    true="true",
    false="false",
    text=_go_text,
    key=_go_text,
    integer=_go_integer,
    object_start="map[string]any{",
    list_start="[]any{",
    list_end="}",
    indent="\t",
)
JSON: Final = Dialect(
    null="null", true="true", false="false", text=_json_text, key=_json_text, indent="  ", trailing_comma=False
)


def is_exact_in_javascript(value: Any) -> bool:
    """Whether JavaScript can hold all whole numbers of this value."""
    match value:
        case bool():
            return True
        case int():
            return abs(value) <= _SAFE_INTEGER
        case dict():
            return all(is_exact_in_javascript(item) for item in value.values())
        case list():
            return all(is_exact_in_javascript(item) for item in value)
        case _:
            return True

"""Parses header fields with parameters: `Content-Type`, `Content-Disposition`. One pass, with a length limit.

Source: RFC 9110 section 5.6.6; RFC 6266; RFC 8187 for `name*`.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

LONGEST: Final = 16_384  # characters of a field that are read
_PARAMETERS: Final = 64
# a quoted string without its end is read as plain text, up to the next semicolon
_PARAMETER: Final = re.compile(
    r";\s*+([!#$%&'*+.^_`|~0-9A-Za-z-]++)\s*+=\s*+(\"(?:[^\"\\]++|\\.)*+\"|[^;]*+)", re.DOTALL
)
_QUOTED: Final = re.compile(r"\\([\"\\])")
_CHARSETS: Final = {"utf-8": "utf-8", "iso-8859-1": "latin-1"}


def read_field(value: str) -> tuple[str, dict[str, str]]:
    """The value before the parameters, in lower case, and the parameters by lower-case name; the first of equal names
    counts.
    """
    value = value[:LONGEST]
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(value):
        if len(found) < _PARAMETERS:
            found.setdefault(match[1].lower(), _plain(match[2]))
    return value.partition(";")[0].strip().lower(), found


def file_name(parameters: dict[str, str]) -> str | None:
    """The file name in `filename*`, otherwise in `filename`; the last part if it is a path. None if there is none.

    Some senders use `filename*` in forms, although RFC 7578 forbids it.
    """
    extended = _extended(parameters.get("filename*", ""))
    name = parameters.get("filename") if extended is None else extended
    return None if name is None else last_part(name)


def last_part(path: str) -> str:
    """The text after the last slash or backslash: the folders are those of the client, or an attack."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _plain(value: str) -> str:
    value = value.strip()
    # other backslashes stay: some senders do not escape those of a Windows path
    return _QUOTED.sub(r"\1", value[1:-1]) if len(value) > 1 and value[0] == value[-1] == '"' else value


def _extended(value: str) -> str | None:
    """The text of an extended value; None if it is not valid, or its charset need not be supported."""
    charset, first, rest = value.partition("'")
    _, second, text = rest.partition("'")
    codec = _CHARSETS.get(charset.strip().lower())
    if codec is None or not first or not second:
        return None
    return unquote_to_bytes(text).decode(codec, "replace")

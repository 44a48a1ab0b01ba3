"""Bodies of requests: JSON, a form, or a form with files. Each value is encoded for its position."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from halley.providers.http_job.faults import Unsendable
from halley.providers.http_job.tables import Encoding
from halley.providers.http_job.templates import JobFile, Template, Values, as_text, refuse_file

MOST_DEPTH: Final = 20  # of a body as it is written in a job file
_NAME_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def filled(body: Any, values: Values) -> Any:
    """The body with values in place of its templates; members and items without a value are left out.

    An inner table or list that becomes empty by this is left out, too.

    Raises:
        Unsendable: a file is part of a longer text.
    """
    if isinstance(body, Template):
        return body.value(values)
    if isinstance(body, dict):
        members = ((name, filled(member, values), member) for name, member in body.items())
        return {name: new for name, new, before in members if not _is_left_out(new, before)}
    if isinstance(body, list):
        items = ((filled(item, values), item) for item in body)
        return [new for new, before in items if not _is_left_out(new, before)]
    return body


def encoded(body: Any, encoding: Encoding, boundary: str) -> tuple[str, bytes]:
    """The content type and the bytes of a filled body. `boundary` (128 random bits) occurs in none of its files.

    Raises:
        Unsendable: it cannot be encoded so; the message says why.
    """
    if encoding == "json":
        return "application/json", msgspec.json.encode(body, enc_hook=refuse_file)
    fields = list(_fields(body))
    if encoding == "form":
        pairs = [(name, as_text(value)) for name, value in fields]
        return "application/x-www-form-urlencoded", urlencode(pairs).encode()
    parts = [_part(boundary, name, value) for name, value in fields]
    return f"multipart/form-data; boundary={boundary}", b"".join(parts) + f"--{boundary}--\r\n".encode()


def _fields(body: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a form; a list becomes several fields of the same name."""
    if not isinstance(body, Mapping):
        raise Unsendable("a form needs a table of fields")
    for name, value in body.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                yield name, item


def _part(boundary: str, name: str, value: Any) -> bytes:
    """One part of a form. Names are escaped as browsers do it. Source: HTML standard, multipart/form-data."""
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name.translate(_NAME_ESCAPES)}"'
    if not isinstance(value, JobFile):
        return f"{head}\r\n\r\n{as_text(value)}\r\n".encode()
    head += f'; filename="{value.name.translate(_NAME_ESCAPES)}"\r\ncontent-type: {value.content_type}'
    return f"{head}\r\n\r\n".encode() + value.path.read_bytes() + b"\r\n"


def _is_left_out(new: Any, before: Any) -> bool:
    return new is None or (isinstance(before, dict | list) and bool(before) and not new)

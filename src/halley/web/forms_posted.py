"""Reads a posted form: URL-encoded, or in parts with files. All of it is in memory, so its size is limited."""

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from halley.api.http.asgi import Call
from halley.api.http.budget import HeldBody
from halley.api.http.encodings import refuse_encoded
from halley.errors import BadRequest, TooLarge

_FIELDS: Final = 10_000
_URL_ENCODED: Final = b"application/x-www-form-urlencoded"
_IN_PARTS: Final = b"multipart/form-data"


class PostedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a form; its name and type are what the browser says."""

    name: str
    content_type: str
    data: bytes


class PostedForm:
    """The fields of a form. A name may occur more than once."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.files: dict[str, list[PostedFile]] = {}

    def get(self, name: str, default: str = "") -> str:
        """The last value of a field."""
        values = self.fields.get(name)
        return values[-1] if values else default

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return self.fields.get(name, [])

    def add(self, name: str, value: str) -> None:
        self.fields.setdefault(name, []).append(value)


async def read_form(call: Call, held: HeldBody, limit_bytes: int) -> PostedForm:
    """Read the whole form, which counts as `held` while it arrives.

    Raises:
        TooLarge: larger than `limit_bytes`.
        BadRequest: it is not a form, or not a valid one.
        BodiesFull, Overloaded: too much is held already.
    """
    refuse_encoded(call)
    body = await _body(call, held, limit_bytes)
    kind, options = parse_options_header(call.headers.get(b"content-type", b""))
    form = PostedForm()
    if kind == _IN_PARTS:
        _read_parts(form, body, options)
    elif kind == _URL_ENCODED or not body:
        _read_pairs(form, body)
    else:
        raise BadRequest("A form must be URL-encoded or multipart/form-data.")
    return form


async def _body(call: Call, held: HeldBody, limit_bytes: int) -> bytes:
    pieces, size = [], 0
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The connection ended before the whole form arrived.")
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit_bytes:
            raise TooLarge(f"The form is larger than {limit_bytes} bytes.")
        held.grow(len(piece))
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _read_pairs(form: PostedForm, body: bytes) -> None:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="replace")
    except ValueError as error:
        raise BadRequest("The form cannot be read.") from error
    for name, value in pairs:
        form.add(name, value)


def _read_parts(form: PostedForm, body: bytes, options: dict[bytes, bytes]) -> None:
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadRequest("The form has no boundary.")

    def on_field(field: Any) -> None:
        form.add(_text(field.field_name), _text(field.value))

    def on_file(file: Any) -> None:
        file.file_object.seek(0)
        one = PostedFile(
            name=_text(file.file_name),
            content_type=file.content_type or "application/octet-stream",
            data=file.file_object.read(),
        )
        form.files.setdefault(_text(file.field_name), []).append(one)

    config = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
    try:
        parser = FormParser(_IN_PARTS.decode(), on_field, on_file, boundary=boundary, config=config)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest("The form cannot be read.") from error


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")

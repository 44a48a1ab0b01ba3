"""Reads a posted form: URL-encoded, or in parts with files. All of it is in memory, so its size is limited."""

from collections.abc import AsyncIterator
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
from halley.web.heavy_forms import offload_if_heavy

TEXT_BYTES: Final = 2 * 2**20
"""Of all texts of a form, with their names; files do not count. A page shows them again, which takes a multiple."""

_FIELDS: Final = 10_000
_HEAVY_BYTES: Final = 64 * 1024
_HEAVY_FIELDS: Final = 200
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
        self.count = 0  # of fields
        self.text_bytes = 0

    @property
    def is_heavy(self) -> bool:
        """Whether a page with all of it may take long."""
        return self.text_bytes > _HEAVY_BYTES or self.count > _HEAVY_FIELDS

    def get(self, name: str, default: str = "") -> str:
        """The last value of a field."""
        values = self.fields.get(name)
        return values[-1] if values else default

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return self.fields.get(name, [])

    def add(self, name: str, value: str) -> None:
        self.fields.setdefault(name, []).append(value)
        self.count += 1


async def read_form(call: Call, held: HeldBody, limit_bytes: int) -> PostedForm:
    """Read the whole form, which counts as `held` while it arrives.

    Raises:
        TooLarge: larger than `limit_bytes`, or its texts than TEXT_BYTES.
        BadRequest: it is not a form, or not a valid one.
        BodiesFull, Overloaded: too much is held already.
    """
    refuse_encoded(call)
    kind, options = parse_options_header(call.headers.get(b"content-type", b""))
    form = PostedForm()
    if kind == _IN_PARTS:
        await _read_parts(form, _pieces(call, held, limit_bytes), options, limit_bytes)
        return form
    body = b"".join([piece async for piece in _pieces(call, held, min(limit_bytes, TEXT_BYTES))])
    if kind != _URL_ENCODED and body:
        raise BadRequest("A form must be URL-encoded or multipart/form-data.")
    form.text_bytes = len(body)
    await offload_if_heavy(form.is_heavy, _read_pairs, form, body)
    return form


async def _pieces(call: Call, held: HeldBody, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives. A whole large one would hold up other requests while it is taken apart."""
    size = 0
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The connection ended before the whole form arrived.")
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit_bytes:
            raise TooLarge(f"The form is larger than {limit_bytes} bytes.")
        held.grow(len(piece))
        yield piece
        if not message.get("more_body", False):
            return


def _read_pairs(form: PostedForm, body: bytes) -> None:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="replace")
    except ValueError as error:
        raise BadRequest("The form cannot be read.") from error
    for name, value in pairs:
        form.add(name, value)


async def _read_parts(
    form: PostedForm, pieces: AsyncIterator[bytes], options: dict[bytes, bytes], limit_bytes: int
) -> None:
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadRequest("The form has no boundary.")

    count = 0

    def count_one() -> None:
        nonlocal count
        count += 1
        if count > _FIELDS:
            raise TooLarge(f"The form has more than {_FIELDS} fields.")

    def on_field(field: Any) -> None:
        count_one()
        form.text_bytes += len(field.field_name or b"") + len(field.value or b"")
        if form.text_bytes > TEXT_BYTES:
            raise TooLarge(f"The texts of the form are larger than {TEXT_BYTES} bytes together. Send it to the API.")
        form.add(_text(field.field_name), _text(field.value))

    def on_file(file: Any) -> None:
        count_one()
        one = PostedFile(
            name=_text(file.file_name),
            content_type=file.content_type or "application/octet-stream",
            data=file.file_object.getvalue(),
        )
        form.files.setdefault(_text(file.field_name), []).append(one)

    ends: list[bool] = []
    config = {"MAX_MEMORY_FILE_SIZE": limit_bytes + 1}  # never on the disk
    try:
        parser = FormParser(
            _IN_PARTS.decode(), on_field, on_file, on_end=lambda: ends.append(True), boundary=boundary, config=config
        )
        async for piece in pieces:
            parser.write(piece)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest("The form cannot be read.") from error
    if not ends:
        raise BadRequest("The form ends before its last boundary.")


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")

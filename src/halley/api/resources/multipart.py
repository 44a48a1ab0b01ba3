"""Reads a file upload part by part in any order; never keeps a large one in memory.

The four official clients send four forms; one reader accepts them all. Source: contract section 13.1.
"""

import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any, Final

from anyio import to_thread

from halley import strict_json
from halley.api.http.asgi import Call
from halley.api.http.encodings import refuse_encoded
from halley.api.presentation.present import encode
from halley.api.presentation.problems import invalid
from halley.assets.disk import reporting_full_disk, write_all
from halley.assets.fields import file_name, last_part, read_field
from halley.errors import BadRequest, TooLarge
from halley.settings import LimitSettings

_IN_MEMORY_BYTES: Final = 2**20
_FIELD_BYTES: Final = 64 * 1024  # of all fields together
_PARTS: Final = 200
_CONTENT_TYPE_BYTES: Final = 1024  # a boundary has at most 70
_DEFAULT_TYPE: Final = "application/octet-stream"
_BRACKETS: Final = re.compile(r"\[([^\[\]]{1,200})\]")


class Upload:
    """The uploaded parts. The caller closes it.

    Small content stays in memory; larger content is written to a file in `folder`, where it can stay.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._waiting = bytearray()
        self._file: IO[bytes] | None = None
        self.has_content = False
        self.part_name: str | None = None
        self.part_type: str | None = None
        self.fields: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        given = self.fields.get("filename", b"").decode("utf-8", "replace")
        return last_part(given) or self.part_name or "file"

    @property
    def content_type(self) -> str:
        return self.fields.get("type", b"").decode("latin-1").strip() or self.part_type or _DEFAULT_TYPE

    def metadata(self, limits: LimitSettings) -> dict[str, str]:
        """The metadata: one JSON object, or fields `metadata[a]`. Values are strings; others become JSON text.

        Raises:
            InputInvalid: not a JSON object.
        """
        text = self.fields.get("metadata", b"").strip()
        found: Any = {}
        if text:
            try:
                found = strict_json.parse(text, limits)
            except BadRequest as error:
                raise invalid(
                    "format", "metadata", str(error).replace("JSON body", "JSON").replace("body", "text")
                ) from error
        if not isinstance(found, dict):
            raise invalid("type", "metadata", "must be a JSON object")
        for name, value in self.fields.items():
            if name.startswith("metadata["):
                if b"\0" in value or "\0" in name:
                    raise invalid("format", "metadata", "must not contain the character NUL, which cannot be stored")
                names = _BRACKETS.findall(name)
                if len(names) > limits.json_depth:
                    fault = f"is nested deeper than {limits.json_depth} levels (setting limits.json_depth)"
                    raise invalid("depth", "metadata", fault)
                _put(found, names, value.decode("utf-8", "replace"))
        return {name: value if isinstance(value, str) else encode(value).decode() for name, value in found.items()}

    def add(self, data: memoryview) -> None:
        """Add a piece of the content; call `settle` soon."""
        self._waiting += data

    async def settle(self) -> None:
        """Write buffered pieces to the file if they are many: in a thread, since the disk may be slow.

        Raises:
            StorageFull: no room.
        """
        if len(self._waiting) >= _IN_MEMORY_BYTES:
            waiting, self._waiting = self._waiting, bytearray()
            await to_thread.run_sync(self._write, waiting)

    def content(self) -> AsyncIterator[bytes] | Path:
        """The whole content: a path if it was large."""
        if self._file is None:
            return self._chunks()
        self._write(self._waiting)
        self._waiting = bytearray()
        return Path(self._file.name)

    def close(self) -> None:
        """Remove the content."""
        if self._file is not None:
            self._file.close()

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield bytes(self._waiting)

    def _write(self, data: bytearray) -> None:
        with reporting_full_disk():
            if self._file is None:
                self._file = tempfile.NamedTemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - see `close`
        write_all(self._file.fileno(), data)


async def read_upload(call: Call, limits: LimitSettings, folder: Path | None = None) -> Upload:
    """Read the whole body; large content goes into a file of `folder`.

    Raises:
        BadRequest: it is not multipart, or broken.
        TooLarge: the content or a field is over its limit; raised as soon as it is known.
        InputInvalid: there is no part `content`.
    """
    refuse_encoded(call)
    content_type = call.header(b"content-type") or ""
    if len(content_type) > _CONTENT_TYPE_BYTES:
        raise BadRequest(f"The header Content-Type is longer than {_CONTENT_TYPE_BYTES} bytes.")
    kind, options = read_field(content_type)
    boundary = options.get("boundary", "").encode("latin-1", "replace")
    if kind != "multipart/form-data" or not boundary:
        raise BadRequest("Send the file as multipart/form-data with a boundary, in a part named `content`.")
    length = call.headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limits.upload_bytes + 2**20:
        raise _too_large(limits.upload_bytes)
    upload = Upload(folder)
    try:
        reader = _Reader(upload, boundary, limits.upload_bytes)
        while True:
            message = await call.receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("The connection ended before the whole upload arrived.")
            reader.feed(message.get("body", b""))
            await upload.settle()
            if not message.get("more_body", False):
                return reader.finished()
    except BaseException:
        upload.close()
        raise


class _Reader:
    """Receives the parser's callbacks."""

    def __init__(self, upload: Upload, boundary: bytes, limit_bytes: int) -> None:
        self._upload = upload
        self._limit_bytes = limit_bytes
        self._content_bytes = 0
        self._field_bytes = 0
        self._parts = 0
        self._is_complete = False
        self._begin()
        import python_multipart  # loaded with the first upload

        try:
            self._parser = python_multipart.MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_text,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._data,
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )
        except python_multipart.exceptions.FormParserError as error:
            raise BadRequest(f"The multipart body cannot be read: {error}") from error

    def feed(self, data: bytes) -> None:
        if not data:
            return
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadRequest(f"The multipart body cannot be read: {error}") from error

    def finished(self) -> Upload:
        if not self._is_complete:
            raise BadRequest("The multipart body ends before its last boundary.")
        if not self._upload.has_content:
            raise invalid("required", "content", "content is required: a part with this name holds the file")
        return self._upload

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._text = b""
        self._target: str | None = None
        self._field = bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._text += data[start:end]  # the parser limits its length

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._text
        self._name = self._text = b""

    def _headers_finished(self) -> None:
        self._parts += 1
        if self._parts > _PARTS:
            raise TooLarge(f"The multipart body has more than {_PARTS} parts.")
        # names come as UTF-8 bytes (RFC 7578, section 5.1)
        _, options = read_field(self._headers.get(b"content-disposition", b"").decode("utf-8", "replace"))
        self._target = options.get("name", "")
        if self._target != "content":
            return
        if self._upload.has_content:
            raise BadRequest("The multipart body has two parts named `content`; send one file at a time.")
        self._upload.has_content = True
        self._upload.part_name = file_name(options)
        content_type = self._headers.get(b"content-type")
        self._upload.part_type = None if content_type is None else content_type.decode("latin-1")

    def _data(self, data: bytes, start: int, end: int) -> None:
        size = end - start
        if self._target == "content":
            self._content_bytes += size
            if self._content_bytes > self._limit_bytes:
                raise _too_large(self._limit_bytes)
            self._upload.add(memoryview(data)[start:end])
            return
        self._field_bytes += size
        if self._field_bytes > _FIELD_BYTES:
            raise TooLarge(f"The fields beside the file are larger than {_FIELD_BYTES} bytes.")
        self._field += data[start:end]

    def _part_end(self) -> None:
        if self._target and self._target != "content":
            self._upload.fields[self._target] = bytes(self._field)

    def _end(self) -> None:
        self._is_complete = True


def _put(target: dict[str, Any], names: list[str], value: str) -> None:
    """Store the value of `metadata[a][b]=value` at its place."""
    if not names:
        return
    for name in names[:-1]:
        below = target.get(name)
        if not isinstance(below, dict):
            below = target[name] = {}
        target = below
    target[names[-1]] = value


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"The file is larger than {limit_bytes} bytes (setting limits.upload_bytes).")

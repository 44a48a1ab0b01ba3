"""A picture that carries the input of the prediction that made it, in its metadata.

Pixels are never touched: a piece of metadata is added to the bytes of the file. Reading is safe for any bytes: nothing
is decompressed, no XML is parsed, and the number of steps is limited.
"""

from typing import Final, Protocol

from halley.assets.embedding import jpeg, png, webp
from halley.assets.embedding.note import NOTE_BYTES, InputNote, NoteTooLarge, decode_note, encode_note

__all__ = [
    "NOTE_BYTES",
    "PICTURE_BYTES",
    "PICTURE_TYPES",
    "CannotCarry",
    "InputNote",
    "NoteTooLarge",
    "embed",
    "extract",
]


class _Kind(Protocol):
    """A module for one file format."""

    def is_kind(self, picture: bytes) -> bool: ...

    def write(self, picture: bytes, text: bytes) -> bytes | None: ...

    def read(self, picture: bytes) -> bytes | None: ...


PICTURE_BYTES: Final = 32 * 2**20  # a larger picture is neither written nor read: it is held in memory
PICTURE_TYPES: Final[dict[str, _Kind]] = {"image/png": png, "image/webp": webp, "image/jpeg": jpeg}


class CannotCarry(ValueError):
    """These bytes are no picture that can carry a note; the message says why."""


def embed(picture: bytes, content_type: str, note: InputNote) -> bytes:
    """The picture with the note in its metadata.

    Raises:
        CannotCarry: not a PNG, WebP or JPEG, or a broken one.
        NoteTooLarge: the input is too large for a picture of this kind.
    """
    kind = PICTURE_TYPES.get(content_type)
    if kind is None:
        raise CannotCarry("only PNG, WebP and JPEG pictures can carry an input")
    text = encode_note(note)
    made = kind.write(picture, text)
    if made is None:
        raise CannotCarry("the picture's bytes are not as its format requires, or it has metadata of its own there")
    return made


def extract(picture: bytes) -> InputNote | None:
    """The note in a picture; None if there is none that can be read."""
    for kind in PICTURE_TYPES.values():
        if kind.is_kind(picture):
            text = kind.read(picture)
            return None if text is None else decode_note(text)
    return None

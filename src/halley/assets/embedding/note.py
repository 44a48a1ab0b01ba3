"""What a picture carries: the model, and the input that it got."""

from typing import Any, Final

import msgspec

from halley.strict_json import DEPTH, is_deeper

NOTE_BYTES: Final = 2**20
_FORM: Final = 1


class NoteTooLarge(ValueError):
    """The input is too large to be carried by a picture."""


class InputNote(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a prediction as it was sent. `halley` is the number of this form."""

    halley: int = _FORM
    model: str  # owner/name
    version: str = ""
    prediction: str = ""
    input: msgspec.Raw  # a JSON object


class _Read(InputNote, frozen=True, kw_only=True):
    input: dict[str, Any]  # type: ignore[assignment]  # decoded, to be sure that it is an object


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(InputNote).decode
_check: Final = msgspec.json.Decoder(_Read).decode


def encode_note(note: InputNote) -> bytes:
    """The note as JSON.

    Raises:
        NoteTooLarge: over NOTE_BYTES.
    """
    text = _encode(note)
    if len(text) > NOTE_BYTES:
        raise NoteTooLarge(f"the input is larger than {NOTE_BYTES} bytes, the most that a picture can carry")
    return text


def decode_note(text: bytes) -> InputNote | None:
    """The note in a JSON text of unknown origin; None if it is none of this form."""
    if len(text) > NOTE_BYTES or is_deeper(text, DEPTH):
        return None
    try:
        _check(text)
        note = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return note if note.halley == _FORM else None

"""An output as pages show it: text, JSON, or only files."""

from typing import Any, Final

import msgspec

from halley.web.views.media import file_of_link
from halley.web.views.texts import PART, TextPart, decode_small, first_bytes, pretty, size_of

_NULL: Final = b"null"
_TRIED: Final = 13  # the longest escape of a character, and the bytes of one, are shorter


class ShownOutput(msgspec.Struct, frozen=True, kw_only=True):
    """At most one of text and JSON; none of them if it is nothing, or files only."""

    text: TextPart | None = None
    json: TextPart | None = None


def shown_output(output: bytes | msgspec.Raw, *, is_joined: bool = True) -> ShownOutput:
    """The part of an output that is not files, as far as a page shows it.

    A list of texts is one text, as models stream it, unless `is_joined` says that it is a list of its own.
    """
    if size_of(output) == len(_NULL) and bytes(output) == _NULL:
        return ShownOutput()
    value = decode_small(output)
    if value is None:  # too large to be decoded
        text = _beginning(output)
        return ShownOutput(json=pretty(output)) if text is None else ShownOutput(text=text)
    if _is_files_only(value):
        return ShownOutput()
    if isinstance(value, str):
        return ShownOutput(text=_part(value))
    if is_joined and is_list_of_texts(value):
        return ShownOutput(text=_part("".join(value)))
    return ShownOutput(json=pretty(output))


def is_list_of_texts(value: Any) -> bool:
    """Whether it is a list of texts only, and not empty."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _is_files_only(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, str) and file_of_link(item) is not None for item in items)


def _part(text: str) -> TextPart:
    return TextPart(text=text[:PART], size=len(text), count=max(1, -(-len(text) // PART)))


def _beginning(output: bytes | msgspec.Raw) -> TextPart | None:
    """The beginning of a large JSON string; None if it is no string."""
    size, first = size_of(output), first_bytes(output, PART)
    if not first.startswith(b'"'):
        return None
    for left_out in range(_TRIED):
        try:
            text = msgspec.json.decode(first[: PART - left_out] + b'"')
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # cut in the middle of a character or an escape
        return TextPart(text=text, size=size, count=-(-size // PART))
    return None

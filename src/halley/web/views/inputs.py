"""The input of a prediction, one row for each member."""

from typing import Any, Final

import msgspec

from halley.web.views.media import MediaFile, file_of_link
from halley.web.views.texts import TextPart, cut, decode_small, pretty

_ROWS: Final = 500
_WHOLE_CHARACTERS: Final = 50_000  # of an input that is too large to be taken apart; with escapes it is longer
_CHARACTERS: Final = 20_000  # of one value


class InputValue(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the input; `file` if it is one of our output files."""

    name: str
    text: str
    file: MediaFile | None = None


class ShownInput(msgspec.Struct, frozen=True, kw_only=True):
    """The members, or the beginning of the whole text if it is too large to be decoded."""

    values: tuple[InputValue, ...] = ()
    more: int = 0
    whole: TextPart | None = None


def shown_input(text: bytes | msgspec.Raw) -> ShownInput:
    """The input for reading."""
    members = decode_small(text)
    if not isinstance(members, dict):
        return ShownInput(whole=pretty(text, characters=_WHOLE_CHARACTERS))
    names = list(members)[:_ROWS]
    values = tuple(_value(name, members[name]) for name in names)
    return ShownInput(values=values, more=len(members) - len(names))


def _value(name: str, value: Any) -> InputValue:
    if isinstance(value, str):
        return InputValue(name=name, text=cut(value, _CHARACTERS), file=file_of_link(value))
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return InputValue(name=name, text=cut(text, _CHARACTERS))

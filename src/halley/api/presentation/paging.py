"""Pages of lists: opaque cursors, absolute links. Source: contract section 9."""

import base64
import binascii
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from halley.api.http.asgi import JSON, Response, Variant, json_response
from halley.api.presentation.problems import invalid
from halley.errors import BadRequest
from halley.predictions.instants import read_instant
from halley.strict_json import HEAVY_BYTES

Side = Literal["older", "newer"]
_SIDES: Final[dict[str, Side]] = {"o": "older", "n": "newer"}
_LONGEST: Final = 400
_encode: Final = msgspec.json.Encoder().encode


class Cursor(msgspec.Struct, frozen=True):
    """Where a page begins (`older`) or ends (`newer`); `mark` is the name of the adjacent item."""

    side: Side
    mark: str

    def text(self) -> str:
        return base64.urlsafe_b64encode(f"{self.side[0]}={self.mark}".encode()).decode().rstrip("=")


def read_cursor(query: Mapping[str, str]) -> Cursor | None:
    """The cursor of a query. It grants no access: a list contains only what the caller may read.

    Raises:
        BadRequest: this server did not make it.
    """
    text = query.get("cursor")
    if not text:
        return None
    try:
        if len(text) > _LONGEST:
            raise ValueError
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        side, equals, mark = plain.partition("=")
        if not equals or not mark or side not in _SIDES:
            raise ValueError
    except (ValueError, binascii.Error) as error:
        raise BadRequest("The cursor is not valid: use the `next` or `previous` URL of a list.") from error
    return Cursor(_SIDES[side], mark)


def page_link(variant: Variant, path: str, query: Mapping[str, str], side: Side, mark: str | None) -> str | None:
    """The URL of the next or previous page, with all other members of the query; None if there is none."""
    if mark is None:
        return None
    members = {name: value for name, value in query.items() if name != "cursor"}
    members["cursor"] = Cursor(side, mark).text()
    return f"{variant.base}{path}?{urlencode(members)}"


class PageBody:
    """Encoded items in the order of reading, until the page is full. The first one always fits."""

    def __init__(self, limit_bytes: int, *, backwards: bool = False) -> None:
        """`backwards`: items are read from the last one of the page to the first."""
        self.size_bytes = 0
        self._limit_bytes = limit_bytes
        self._backwards = backwards
        self._items: list[bytes] = []

    def __len__(self) -> int:
        return len(self._items)

    def take(self, item: Any) -> bool:
        """Add the item to the page; False if it does not fit."""
        return self.take_encoded(_encode(item))

    def take_encoded(self, encoded: bytes) -> bool:
        """The same for an item that is encoded already."""
        if self._items and self.size_bytes + len(encoded) >= self._limit_bytes:
            return False
        self.size_bytes += len(encoded) + 1  # with its comma
        self._items.append(encoded)
        return True

    def answer(self, following: str | None, previous: str | None) -> Response:
        """The whole page in the contract's form (contract section 9)."""
        items = self._items[::-1] if self._backwards else self._items
        pieces = [b'{"next":%b,"previous":%b,"results":[' % (_encode(following), _encode(previous))]
        for item in items:
            pieces += (item, b",")
        pieces[max(1, len(pieces) - 1) :] = [b"]}"]  # replaces the last comma
        if self.size_bytes <= HEAVY_BYTES:
            return json_response(b"".join(pieces))
        size = str(sum(map(len, pieces))).encode()
        # sent one after the other: joining large items would block others
        return Response(headers=[JSON, (b"content-length", size)], chunks=_each(pieces))


async def _each(pieces: list[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece


def read_limit(query: Mapping[str, str], default: int) -> int:
    """The number of items that the caller wants, limited to 1 to 100.

    Raises:
        InputInvalid: not a number.
    """
    text = query.get("limit", "").strip()
    if not text:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise invalid("type", "limit", "must be an integer from 1 to 100")
    return min(100, max(1, int(text)))


def read_whole_number(query: Mapping[str, str], name: str, default: int) -> int:
    """A number from 0.

    Raises:
        InputInvalid: not such a number.
    """
    text = query.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise invalid("type", name, "must be a whole number, 0 or more")
    return int(text)


def read_time(query: Mapping[str, str], name: str) -> datetime | None:
    """An ISO 8601 instant; without an offset it is UTC.

    Raises:
        InputInvalid: it is not a time.
    """
    text = query.get(name)
    if not text:
        return None
    try:
        return read_instant(text)
    except (ValueError, OverflowError) as error:
        raise invalid("format", name, "must be a date and time such as 2026-01-31T12:00:00Z") from error

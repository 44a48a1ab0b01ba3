"""Filters that a reader has given a name. They are kept in a cookie of the browser: no account has to share them."""

import base64
import binascii
from typing import Final

import msgspec

COOKIE: Final = "halley_views"
MOST_VIEWS: Final = 10
_NAME_CHARACTERS: Final = 40
_QUERY_CHARACTERS: Final = 240
_MOST_BYTES: Final = 3800  # browsers keep 4096 of a cookie


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """A name and the query of the list."""

    name: str
    query: str


_read: Final = msgspec.json.Decoder(list[SavedView]).decode


def read_views(value: str) -> list[SavedView]:
    """The views of a cookie; none if it cannot be read."""
    try:
        return _read(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))[:MOST_VIEWS]
    except (msgspec.DecodeError, binascii.Error, ValueError):
        return []


def write_views(views: list[SavedView]) -> str:
    """The value of the cookie; "" for none. The oldest are left out if they do not fit."""
    while views:
        value = base64.urlsafe_b64encode(msgspec.json.encode(views)).decode().rstrip("=")
        if len(value) <= _MOST_BYTES:
            return value
        views = views[1:]
    return ""


def with_view(views: list[SavedView], name: str, query: str) -> list[SavedView]:
    """These with one more, in place of one with the same name."""
    name = " ".join(name.split())[:_NAME_CHARACTERS]
    if not name or not query or len(query) > _QUERY_CHARACTERS:
        return views
    return [*without_view(views, name), SavedView(name=name, query=query)][-MOST_VIEWS:]


def without_view(views: list[SavedView], name: str) -> list[SavedView]:
    """These without the one of this name."""
    return [view for view in views if view.name != name]

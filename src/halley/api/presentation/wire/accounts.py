"""Accounts and their keys; keys are an extension."""

from typing import Annotated, Literal

import msgspec

from halley.api.presentation.wire.values import ListPage, StatusWord, Time
from halley.keys import records as key_records


class AccountBody(msgspec.Struct, kw_only=True):
    """Whose key it is."""

    type: Literal["user", "organization"]
    username: str
    name: str


class Hardware(msgspec.Struct, kw_only=True):
    """A kind of machine."""

    name: str
    sku: str


class KeyOptionsBody(key_records.KeyOptions, frozen=True, kw_only=True, omit_defaults=False):
    """How requests with a key are handled. In a request, members that are left out stay unchanged."""


class KeyBody(msgspec.Struct, kw_only=True):
    """An API key, without its secret; `hint` is its beginning."""

    id: str
    username: str
    name: str
    hint: str
    scopes: list[str]
    options: KeyOptionsBody
    created_at: Time
    revoked_at: Time | None


class NewKey(KeyBody, kw_only=True):
    """A new key. `token` is shown this once."""

    token: str


class KeyUsageBody(msgspec.Struct, kw_only=True):
    """What the newest predictions of a key were, at most 1,000; `is_more` if there may be older ones.

    `run_seconds` is the time from start to end of those that have ended.
    """

    predictions: int
    by_status: dict[StatusWord, int]
    run_seconds: float
    oldest_created_at: Time | None
    newest_created_at: Time | None
    is_more: bool


class CurrentKey(KeyBody, kw_only=True):
    """The key of the request, and what it has been used for lately."""

    usage: KeyUsageBody


class KeyPage(ListPage, kw_only=True):
    """Keys of all accounts, newest first."""

    results: list[KeyBody]


class CreateKey(msgspec.Struct, kw_only=True):
    """A key for an account, which is made if it is new; for the caller's own if no username is given."""

    username: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9](?:-?[A-Za-z0-9]){0,59}$", max_length=60)] | None = None
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    scopes: Annotated[list[Literal["read", "write", "admin"]], msgspec.Meta(min_length=1)] | None = None  # read, write
    options: KeyOptionsBody | None = None
    prefix: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9]{0,15}_?$")] | None = None  # how it begins; hly


class ChangeKey(msgspec.Struct, kw_only=True):
    """Options to change; null sets one back to its default."""

    options: KeyOptionsBody

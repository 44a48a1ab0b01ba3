"""Accounts and keys as values. The secret itself is never stored in them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

import msgspec

from halley.settings import Period


class Scope(StrEnum):
    """What a key may do. `admin` includes the others."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


DEFAULT_SCOPES: Final = frozenset({Scope.READ, Scope.WRITE})


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of predictions, files and keys."""

    id: str
    username: str  # unique, [a-z0-9-]
    type: Literal["user", "organization"] = "user"
    name: str = ""
    weight: int = 1  # share of the queue when several accounts wait
    created_at: datetime


class KeyOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How requests with one key are handled. Only values that differ from the default are stored, so a default may
    change.
    """

    hold: bool = True  # polls of an official client may be held
    cancel_abandoned: bool = False  # an abandoned prediction is canceled
    # how long its predictions keep their data; None: the setting of the model or the server
    retention: Period | None = None

    def changed(self, changes: Mapping[str, object]) -> "KeyOptions":
        """A copy with some members changed; None resets a member to its default.

        Raises:
            msgspec.ValidationError: a value is not valid.
        """
        merged = {**msgspec.to_builtins(self), **changes}
        return msgspec.convert({name: value for name, value in merged.items() if value is not None}, KeyOptions)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One API key, recognised by its HMAC. `hint` is the part that may be shown: the first characters."""

    id: str
    account_id: str
    name: str
    digest: bytes  # HMAC-SHA256(pepper, token)
    hint: str
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    options: KeyOptions = KeyOptions()
    created_at: datetime
    revoked_at: datetime | None = None


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that acts with a key, recognised by the HMAC of its cookie."""

    digest: bytes
    key_id: str
    created_at: datetime
    ends_at: datetime

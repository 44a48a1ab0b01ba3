"""The store's interface for keys."""

from collections.abc import Awaitable, Collection, Mapping
from datetime import datetime
from typing import Final, Protocol

from halley.keys.records import Account, Key, Scope, SignIn


class KeyStore(Protocol):
    """Accounts and keys. Writing methods are durable when their awaitable is done."""

    def put_account(self, account: Account) -> Awaitable[Account]:
        """Insert; if the username is taken, nothing changes and the stored account is returned."""
        ...

    async def get_account(self, account_id: str) -> Account | None: ...

    async def find_account(self, username: str) -> Account | None: ...

    def put_key(self, key: Key) -> Awaitable[None]:
        """Insert a key; the digest is unique."""
        ...

    async def find_key(self, digest: bytes) -> Key | None:
        """Find a key by its digest, even a revoked one."""
        ...

    async def get_key(self, key_id: str) -> Key | None:
        """The key with this id, even a revoked one."""
        ...

    async def list_keys(self, account_id: str | None = None) -> list[Key]:
        """The keys of one account or of all, newest first."""
        ...

    async def page_keys(self, before: str | None, limit: int) -> list[Key]:
        """At most `limit` keys of all accounts, by their ids, the last one first; those before an id if it is given."""
        ...

    async def valid_scopes(self, key_ids: Collection[str]) -> dict[str, frozenset[Scope]]:
        """The scopes of these keys; those that are absent, revoked or without an account are left out."""
        ...

    def revoke_key(self, key_id: str, at: datetime) -> Awaitable[Key | None]:
        """Mark the key as revoked (once); None if absent."""
        ...

    def set_configured(self, key_id: str, at: datetime) -> Awaitable[list[Key]]:
        """Make this the configured key: it becomes valid, even if it was revoked; the previous configured key is
        revoked. One transaction. Returns the keys that this revoked.
        """
        ...

    def change_options(self, key_id: str, changes: Mapping[str, object]) -> Awaitable[Key | None]:
        """Change some options and leave the others as they are, in one transaction; None if absent.

        `changes` are validated already (KeyOptions.changed).
        """
        ...


MOST_SIGN_INS: Final = 100
"""Of one key at the same time."""


class SignInStore(Protocol):
    """Browsers that have signed in. Writing methods are durable when their awaitable is done."""

    def put_sign_in(self, sign_in: SignIn) -> Awaitable[None]:
        """Insert; those that ended before it began are deleted, and the oldest of the key above MOST_SIGN_INS."""
        ...

    async def find_sign_in(self, digest: bytes) -> SignIn | None:
        """Find it by its digest, even after its end."""
        ...

    def extend_sign_in(self, digest: bytes, ends_at: datetime) -> Awaitable[None]:
        """Set its end; nothing happens if it is absent."""
        ...

    def end_sign_in(self, digest: bytes) -> Awaitable[None]:
        """Delete it; nothing happens if it is absent."""
        ...

    def end_sign_ins_of(self, key_id: str) -> Awaitable[int]:
        """Delete all of a key; returns how many there were."""
        ...

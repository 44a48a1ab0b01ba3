"""Issue, verify and revoke keys."""

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from halley.clock import Clock
from halley.errors import Conflict, InputInvalid, InvalidField, NotAuthenticated, NotFound, Unusable
from halley.hmac_sha256 import HmacSha256
from halley.ids import NewId
from halley.keys import tokens
from halley.keys.ports import KeyStore
from halley.keys.records import DEFAULT_SCOPES, Account, Key, KeyOptions, Scope

_log: Final = logging.getLogger(__name__)
_RECHECK_SECONDS: Final = 5.0  # a key revoked by another process is refused after at most this time


class Identity:
    """A verified key: its account and what it may do."""

    __slots__ = ("account", "checked_at", "key")

    def __init__(self, account: Account, key: Key, checked_at: float) -> None:
        self.account = account
        self.key = key
        self.checked_at = checked_at

    def may(self, scope: Scope) -> bool:
        return scope in self.key.scopes or Scope.ADMIN in self.key.scopes


class Keys:
    """The use cases of keys. Plain tokens are never stored."""

    def __init__(
        self,
        *,
        store: KeyStore,
        clock: Clock,
        new_id: NewId,
        pepper: bytes,
        random_below: Callable[[int], int] = secrets.randbelow,
        on_options: Callable[[Key], None] = lambda _: None,
    ) -> None:
        """`on_options` is called for each key that is new or whose options have changed."""
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._pepper = HmacSha256(pepper)
        self._random_below = random_below
        self._on_options = on_options
        self._known: dict[bytes, Identity] = {}

    async def verify(self, token: str) -> Identity:
        """Return the identity behind this token.

        Raises:
            NotAuthenticated: malformed, unknown or revoked; the message is the same for all.
        """
        identity = self.known(token) or await self._look_up(token)
        if identity is None:
            raise NotAuthenticated("The API key is not valid. Make one with `halley keys create`.")
        return identity

    async def by_id(self, key_id: str) -> Identity | None:
        """The identity of a key by its id; None if it is absent or revoked. It is read from the store each time."""
        key = await self._store.get_key(key_id)
        account = None if key is None or key.revoked_at is not None else await self._store.get_account(key.account_id)
        return None if key is None or account is None else Identity(account, key, self._clock.monotonic())

    def known(self, token: str) -> Identity | None:
        """The identity if it was verified recently; no I/O (for the fast path of reads)."""
        return self.known_by(self.digest(token))

    def digest(self, token: str) -> bytes:
        """A digest that replaces the token where it must not be stored."""
        return tokens.digest(self._pepper, token)

    def known_by(self, digest: bytes) -> Identity | None:
        """As `known`, by the digest of the token."""
        identity = self._known.get(digest)
        if identity is None or self._clock.monotonic() - identity.checked_at > _RECHECK_SECONDS:
            return None
        return identity

    async def issue(
        self,
        username: str,
        name: str,
        scopes: Iterable[Scope] = DEFAULT_SCOPES,
        *,
        options: KeyOptions = KeyOptions(),  # noqa: B008 - frozen
        prefix: str = tokens.DEFAULT_PREFIX,
        token: str | None = None,
    ) -> tuple[str, Key]:
        """Create a key for an account (created if it is new). Returns the token, which is shown only once, and the
        record.

        `prefix` is how the token begins, without the underscore; `token` is a key that the operator chose.

        Raises:
            InputInvalid: the username or prefix is not valid, or there is no scope.
            Conflict: the token already exists.
        """
        _check_username(username)
        wanted = frozenset(scopes)
        if not wanted:
            raise InputInvalid((InvalidField(type="min_items", field="scopes", description="name at least one scope"),))
        if not tokens.is_prefix(prefix):
            description = "use 1 to 16 lower-case letters and digits, beginning with a letter, such as r8"
            raise InputInvalid((InvalidField(type="pattern", field="prefix", description=description),))
        plain = token or tokens.make_token(self._random_below, prefix)
        if not tokens.is_plausible(plain):
            raise Unusable("an admin key of your own needs 32 or more printable ASCII characters (and not begin hly_)")
        digest = tokens.digest(self._pepper, plain)
        if await self._store.find_key(digest) is not None:
            raise Conflict("this key exists already")
        account = await self._store.put_account(
            Account(id=self._new_id(), username=username, name=username, created_at=self._clock.now())
        )
        key = Key(
            id=self._new_id(),
            account_id=account.id,
            name=name,
            digest=digest,
            hint=tokens.hint(plain),
            scopes=wanted,
            options=options,
            created_at=self._clock.now(),
        )
        await self._store.put_key(key)
        self._on_options(key)
        return plain, key

    async def page(self, before: str | None = None, limit: int = 100) -> list[tuple[Key, Account]]:
        """At most `limit` keys with their accounts, newest first; those before an id if it is given."""
        keys = await self._store.page_keys(before, limit)
        accounts = {one: await self._store.get_account(one) for one in {key.account_id for key in keys}}
        return [(key, account) for key in keys if (account := accounts[key.account_id]) is not None]

    async def get(self, key_id: str) -> tuple[Key, Account]:
        """A key with its account, also a revoked one.

        Raises:
            NotFound: there is no such key.
        """
        key = await self._store.get_key(key_id)
        account = None if key is None else await self._store.get_account(key.account_id)
        if key is None or account is None:
            raise NotFound(f"There is no key {key_id[:64]}")
        return key, account

    async def valid_scopes(self, key_ids: Collection[str]) -> dict[str, frozenset[Scope]]:
        """The scopes of these keys now, by id; keys that are not valid any more are left out."""
        return await self._store.valid_scopes(key_ids)

    async def revoke(self, key_id: str) -> Key:
        """Refuse this key from now on.

        Raises:
            NotFound: there is no such key.
        """
        key = await self._store.revoke_key(key_id, self._clock.now())
        if key is None:
            raise NotFound(f"There is no key {key_id}")
        self._known.pop(key.digest, None)
        return key

    async def change_options(self, key_id: str, changes: Mapping[str, object]) -> tuple[Key, Account]:
        """Change some options of a key from now on; `changes` are validated already.

        Raises:
            NotFound: there is no such key.
        """
        key = await self._store.change_options(key_id, changes)
        account = None if key is None else await self._store.get_account(key.account_id)
        if key is None or account is None:
            raise NotFound(f"There is no key {key_id}")
        self._known.pop(key.digest, None)
        self._on_options(key)
        return key, account

    async def ensure_admin(self, token: str | None) -> str | None:
        """At start: set the operator's admin key, or create the first one. Returns a token only if one was created.

        The operator's key becomes valid, even if it was revoked, and the previously configured one is revoked.

        Raises:
            Unusable: it does not have the form of a key, or its scopes do not include `admin`.
        """
        if token is not None:
            await self._set_admin(token)
            return None
        if any(Scope.ADMIN in key.scopes and key.revoked_at is None for key in await self._store.list_keys()):
            return None
        plain, _ = await self.issue("admin", "first admin key", frozenset(Scope))
        return plain

    async def _set_admin(self, token: str) -> None:
        key = await self._store.find_key(tokens.digest(self._pepper, token))
        if key is None:
            _, key = await self.issue("admin", "admin key from the configuration", frozenset(Scope), token=token)
        elif Scope.ADMIN not in key.scopes:
            raise Unusable(
                f"admin_key is the key {key.id} ({key.name!r}), which does not have the scope `admin`. Set another"
                " admin_key, or remove it from the configuration."
            )
        for replaced in await self._store.set_configured(key.id, self._clock.now()):
            self._known.pop(replaced.digest, None)
            _log.info("the configured admin key was changed: key %s is revoked", replaced.id)

    async def _look_up(self, token: str) -> Identity | None:
        if not tokens.is_plausible(token):
            return None
        digest = tokens.digest(self._pepper, token)
        key = await self._store.find_key(digest)
        account = None if key is None or key.revoked_at is not None else await self._store.get_account(key.account_id)
        if key is None or account is None:
            self._known.pop(digest, None)
            return None
        identity = self._known[digest] = Identity(account, key, self._clock.monotonic())
        return identity


def _check_username(username: str) -> None:
    if not (1 <= len(username) <= 60 and username.isascii() and username.replace("-", "").isalnum()):
        raise InputInvalid(
            (InvalidField(type="pattern", field="username", description="use 1 to 60 letters, digits and hyphens"),)
        )

"""Browsers that act with a key: a cookie stands for the key, which the browser does not keep.

The key itself is looked up for each request: what it may do is what the browser may do, and when it is revoked, all of
its browsers are signed out.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final

from halley.clock import Clock
from halley.errors import NotAuthenticated
from halley.hmac_sha256 import HmacSha256
from halley.keys.ports import SignInStore
from halley.keys.records import SignIn
from halley.keys.service import Identity, Keys

IDLE: Final = timedelta(hours=12)  # after the last request
LONGEST: Final = timedelta(days=7)
_STEP: Final = timedelta(minutes=10)  # the end is written again only after such a time
_TOKEN_BYTES: Final = 32
CHECK_SECONDS: Final = 5.0
CODE_SECONDS: Final = 600.0


class SignIns:
    """The use cases of sign-ins. Cookies are never stored."""

    def __init__(
        self,
        *,
        store: SignInStore,
        keys: Keys,
        clock: Clock,
        secret: bytes,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._cookies = HmacSha256(hmac.digest(secret, b"sign-in cookies", "sha256"))
        self._forms = HmacSha256(hmac.digest(secret, b"sign-in forms", "sha256"))
        self._random_bytes = random_bytes
        self._codes: dict[bytes, tuple[str, float]] = {}  # by digest: the key, and until when by the monotonic clock

    async def begin(self, key: str) -> tuple[str, Identity]:
        """Sign in with a key; returns the cookie, which is not kept here.

        Raises:
            NotAuthenticated: the key is malformed, unknown or revoked.
        """
        identity = await self._keys.verify(key)
        return await self.begin_with(identity), identity

    async def begin_with(self, identity: Identity) -> str:
        """Sign in with a key that was verified already; returns the cookie."""
        cookie = _text(self._random_bytes(_TOKEN_BYTES))
        now = self._clock.now()
        sign_in = SignIn(digest=self._digest(cookie), key_id=identity.key.id, created_at=now, ends_at=now + IDLE)
        await self._store.put_sign_in(sign_in)
        return cookie

    def make_code(self, key: str) -> str:
        """A code that signs in with this key, once and soon; it is kept in memory only."""
        code = _text(self._random_bytes(_TOKEN_BYTES))
        now = self._clock.monotonic()
        self._codes = {one: kept for one, kept in self._codes.items() if kept[1] > now}
        self._codes[self._digest(code)] = (key, now + CODE_SECONDS)
        return code

    async def begin_by_code(self, code: str) -> tuple[str, Identity]:
        """Sign in with a code, which is used up.

        Raises:
            NotAuthenticated: it is unknown, used, or too old, or its key is not valid any more.
        """
        key, until = self._codes.pop(self._digest(code), ("", 0.0))
        if until <= self._clock.monotonic():
            raise NotAuthenticated("This link was used already, or is older than 10 minutes. Sign in with a key.")
        return await self.begin(key)

    async def identity(self, cookie: str) -> Identity | None:
        """Who has this cookie; None if it is unknown, or has ended, or its key is not valid any more."""
        sign_in = await self._store.find_sign_in(self._digest(cookie))
        now = self._clock.now()
        if sign_in is None or sign_in.ends_at <= now:
            return None
        identity = await self._keys.by_id(sign_in.key_id)
        if identity is not None:
            ends_at = min(now + IDLE, sign_in.created_at + LONGEST)
            if ends_at - sign_in.ends_at >= _STEP:
                await self._store.extend_sign_in(sign_in.digest, ends_at)
        return identity

    async def is_valid(self, cookie: str) -> bool:
        """Whether the browser is still signed in. It is not a sign of use: the end is not moved."""
        sign_in = await self._store.find_sign_in(self._digest(cookie))
        return sign_in is not None and sign_in.ends_at > self._clock.now()

    async def while_valid(self, cookie: str, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The pieces of a stream, until the browser is signed out: at most CHECK_SECONDS longer.

        It does not wait for a piece to see that: some streams write past this one, or are silent.
        """
        signed_out = asyncio.ensure_future(self._signed_out(cookie))
        following: asyncio.Future[bytes | None] | None = None
        async with aclosing(pieces):
            try:
                while True:
                    following = asyncio.ensure_future(anext(pieces, None))
                    await asyncio.wait([following, signed_out], return_when=asyncio.FIRST_COMPLETED)
                    if signed_out.done() or (piece := following.result()) is None:
                        return
                    yield piece
            finally:
                await _cancelled(signed_out, following)

    async def _signed_out(self, cookie: str) -> None:
        """Return when the browser is not signed in any more."""
        await self._clock.sleep(CHECK_SECONDS)
        while await self.is_valid(cookie):
            await self._clock.sleep(CHECK_SECONDS)

    def form_token(self, cookie: str) -> str:
        """What a form of this browser must send, so that forms of other sites are refused."""
        return _text(self._forms.digest(cookie.encode()))

    def is_form_token(self, cookie: str, sent: str) -> bool:
        """Whether it is the form token of this cookie."""
        return hmac.compare_digest(self.form_token(cookie).encode(), sent.encode("utf-8", "replace"))

    async def end(self, cookie: str) -> None:
        """Sign out."""
        await self._store.end_sign_in(self._digest(cookie))

    async def end_all(self, key_id: str) -> int:
        """Sign out all browsers of a key; returns how many there were."""
        return await self._store.end_sign_ins_of(key_id)

    def _digest(self, cookie: str) -> bytes:
        return self._cookies.digest(cookie.encode("utf-8", "replace"))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


async def _cancelled(*works: asyncio.Future[Any] | None) -> None:
    """End what was begun, and wait for it, also when the caller is cancelled meanwhile: a stream that still cleans up
    cannot be closed.
    """
    begun = [work for work in works if work is not None]
    for work in begun:
        work.cancel()
    cancelled: asyncio.CancelledError | None = None
    while not all(work.done() for work in begun):
        try:
            await asyncio.wait(begun)
        except asyncio.CancelledError as error:
            cancelled = error
    for work in begun:
        if not work.cancelled():
            work.exception()  # it is seen
    if cancelled is not None:
        raise cancelled

"""The fast path: polls of one prediction, answered from encoded bytes without a scope, a task or an await.

It answers only what the ordinary path would answer with the same bytes (a test compares them), and leaves everything
else to that path: other headers that matter, unknown keys, predictions that are not cached. Such answers are not in the
access log. Source: design section 7; performance note, section 3.
"""

from collections.abc import Callable, Container, Sequence
from typing import Final
from weakref import ref

from halley.api.application import REQUEST_ID_HEADER, Api
from halley.api.http.asgi import read_token
from halley.api.http.origins import FORWARDED, public_path
from halley.api.http.quirks import hold_seconds
from halley.api.presentation.cache import CachedResponse, CacheKey
from halley.errors import HalleyError, NotAuthenticated
from halley.keys.records import Scope
from halley.keys.service import Identity

_PREFIXES: Final = {
    b"": "",
    b"/v1": "",
    b"/v1/v1": "",
    b"/replicate": "/replicate",
    b"/replicate/v1": "/replicate",
    b"/replicate/v1/v1": "/replicate",
}
_ID_LENGTH: Final = 26
_LEAVE: Final = (b"prefer", b"if-none-match", b"content-length", b"transfer-encoding", b"expect", b"upgrade")

Address = tuple[str, int | None]


class Asker:
    """The headers of a connection's newest poll, and their meaning.

    A client sends the same headers with each poll: they are parsed once, then compared. Usually it sends the same
    bytes: then nothing is parsed. It keeps no more of a token than the connection itself does, for no longer; the key
    is checked each time.
    """

    __slots__ = (
        "changes",
        "client",
        "digest",
        "family",
        "headers",
        "identity",
        "is_held",
        "kept",
        "prediction_id",
        "request",
        "request_id",
        "scheme",
        "server",
        "variant",
    )

    def __init__(self, scheme: str, server: Address | None, client: tuple[str, int] | None) -> None:
        self.scheme = scheme
        self.server = server
        self.client = client
        self.headers: Sequence[tuple[bytes, bytes]] | None = None
        self.family = ""
        self.digest = b""
        self.variant = 0
        self.is_held = False  # a poll of a running prediction is held until something changes
        self.request_id: bytes | None = None
        self.prediction_id = ""
        self.request: bytes | None = None  # the whole request, if it arrived alone in one chunk
        # the newest answer to that request, whom it was given to, and the removals from the cache before it;
        # weak, because thousands of idle connections must not keep what the cache removes
        self.kept: Callable[[], CachedResponse | None] = _nothing
        self.identity: Identity | None = None
        self.changes = 0


class ShortCut:
    """Checks a request whose headers are complete, and answers it if that is possible at once."""

    def __init__(self, api: Api) -> None:
        parts = api.parts
        self._api = api
        self._keys = parts.keys
        self._cache = parts.cache
        self._clock = parts.clock
        self._predictions = parts.predictions
        self._links = parts.links
        self._may_hold = parts.settings.quirks.hold_polls
        self._fit_hosts: Container[bytes | None] = api.framing.fit_hosts
        leave = list(_LEAVE)
        if api.has_cors:
            leave.append(b"origin")
        if parts.settings.server.trusted_proxies:
            leave += FORWARDED
        self._leave = frozenset(leave)
        prefix = public_path(parts.settings).encode()
        self._families = {**_PREFIXES, **{prefix + head: family for head, family in _PREFIXES.items()}}
        self._defaults: Sequence[tuple[bytes, bytes]] = ()
        self._start = b""

    def answer(
        self,
        url: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        asker: Asker,
        defaults: Sequence[tuple[bytes, bytes]],
    ) -> bytes | None:
        """The whole answer to a GET over HTTP/1.1 that keeps its connection, or None: use the ordinary path.

        `asker` belongs to the connection. `defaults` are the headers that the server adds to every answer.
        """
        head, _, prediction_id = url.rpartition(b"/predictions/")
        family = self._families.get(head)
        if family is None or len(prediction_id) != _ID_LENGTH:
            return None
        if (headers != asker.headers or family != asker.family) and not self._read(headers, family, asker):
            return None
        asker.prediction_id = prediction_id.decode("latin-1")
        asker.kept = _nothing
        return self.again(asker, defaults)

    def again(self, asker: Asker, defaults: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """The whole answer to the last request of `asker`."""
        identity = self._keys.known_by(asker.digest)
        if identity is None:
            return None
        kept = asker.kept()
        # nothing was removed since it was given to the same caller: the cache would give it again
        if (
            kept is None
            or identity is not asker.identity
            or self._cache.changes != asker.changes
            or self._clock.monotonic() >= kept.fresh_until
        ):
            kept = self._find(identity, asker)
            if kept is None:
                return None
        request_id = self._api.request_ids.of(asker.request_id).encode()
        start = self._start if defaults is self._defaults else self._started(defaults)
        return b"%b%bx-request-id: %b\r\n\r\n%b" % (start, kept.head, request_id, kept.body)

    def _find(self, identity: Identity, asker: Asker) -> CachedResponse | None:
        """The cached answer to the last request of `asker`, if this caller may read and it is current."""
        asker.kept = _nothing
        if not identity.may(Scope.READ):
            return None
        key = (identity.account.id, asker.prediction_id, asker.variant)
        kept = self._cache.fresh(key, self._clock.monotonic())
        if kept is None:
            return self._unchanged(key, asker)
        asker.kept, asker.identity, asker.changes = ref(kept), identity, self._cache.changes
        return kept

    def _unchanged(self, key: CacheKey, asker: Asker) -> CachedResponse | None:
        """The answer about a running prediction, if nothing was stored and no link was renewed since it was made."""
        kept = None if asker.is_held else self._cache.standing(key)
        if kept is None:
            return None
        try:
            revision = self._predictions.revision(asker.prediction_id, key[0])
        except HalleyError:
            return None  # the ordinary path reports the error
        if revision != kept.revision or kept.links_end_at != self._links.expiry(self._clock.now()):
            return None
        return kept

    def _read(self, headers: Sequence[tuple[bytes, bytes]], family: str, asker: Asker) -> bool:
        """Whether a request with these headers may use the fast path; `asker` then has their values."""
        asker.headers = None
        named = dict(headers)
        # a repeated header, or a host that was not checked yet, is left to the ordinary path
        if len(named) != len(headers) or named.get(b"host") not in self._fit_hosts:
            return False
        if not self._leave.isdisjoint(named):
            return False
        try:
            asker.digest = self._keys.digest(read_token(named.get(b"authorization")))
        except NotAuthenticated:
            return False
        variant = self._api.variants.of(named, family, scheme=asker.scheme, server=asker.server, client=asker.client)
        asker.variant, asker.family = variant.number, family
        asker.request_id = named.get(REQUEST_ID_HEADER)
        asker.is_held = self._may_hold and hold_seconds(named.get(b"user-agent", b"").decode("latin-1")) > 0
        asker.headers = headers
        return True

    def _started(self, defaults: Sequence[tuple[bytes, bytes]]) -> bytes:
        # the server makes a new list each second, for the date
        self._defaults = defaults
        lines = b"".join([b"%b: %b\r\n" % pair for pair in defaults])
        self._start = b"HTTP/1.1 200 OK\r\n" + lines
        return self._start


def _nothing() -> None:
    pass

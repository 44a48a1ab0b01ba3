"""The hot read: a poll of a terminal prediction, answered from encoded bytes without a scope, a task or an await.

It answers only what the ordinary way would answer with the same bytes (a test compares them), and leaves everything
else to it: other headers that matter, unknown keys, predictions that are not kept. Such answers are not in the access
log. Source: design section 7; performance note, section 3.
"""

from collections.abc import Container, Sequence
from typing import Final

from halley.api.application import REQUEST_ID_HEADER, Api
from halley.api.http.asgi import read_token
from halley.api.http.origins import FORWARDED, public_path
from halley.errors import NotAuthenticated
from halley.keys.records import Scope

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


class ShortCut:
    """Looks at a request whose headers are complete, and answers it if that is possible at once."""

    def __init__(self, api: Api) -> None:
        parts = api.parts
        self._api = api
        self._keys = parts.keys
        self._cache = parts.cache
        self._clock = parts.clock
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
        *,
        scheme: str,
        server: Address | None,
        client: tuple[str, int] | None,
        defaults: Sequence[tuple[bytes, bytes]],
    ) -> bytes | None:
        """The whole answer to a GET over HTTP/1.1 that keeps its connection, or None: go the ordinary way.

        `defaults` are the headers that the server adds to every answer.
        """
        head, _, prediction_id = url.rpartition(b"/predictions/")
        family = self._families.get(head)
        if family is None or len(prediction_id) != _ID_LENGTH:
            return None
        named = dict(headers)
        # of a name that comes twice, and a host that was not looked at yet, the ordinary way says what to make
        if len(named) != len(headers) or named.get(b"host") not in self._fit_hosts:
            return None
        if not self._leave.isdisjoint(named):
            return None
        try:
            identity = self._keys.known(read_token(named.get(b"authorization")))
        except NotAuthenticated:
            return None
        if identity is None or not identity.may(Scope.READ):
            return None
        variant = self._api.variants.of(named, family, scheme=scheme, server=server, client=client)
        key = (identity.account.id, prediction_id.decode("latin-1"), variant.number)
        kept = self._cache.fresh(key, self._clock.monotonic())
        if kept is None:
            return None
        request_id = self._api.request_ids.of(named.get(REQUEST_ID_HEADER)).encode()
        start = self._start if defaults is self._defaults else self._started(defaults)
        return b"%b%bx-request-id: %b\r\n\r\n%b" % (start, kept.head, request_id, kept.body)

    def _started(self, defaults: Sequence[tuple[bytes, bytes]]) -> bytes:
        # the server makes a new list each second, for the date
        self._defaults = defaults
        lines = b"".join([b"%b: %b\r\n" % pair for pair in defaults])
        self._start = b"HTTP/1.1 200 OK\r\n" + lines
        return self._start

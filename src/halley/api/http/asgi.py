"""One request and one answer, on ASGI directly. A web framework would cost more than all of our own work."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec

from halley.api.http.budget import HeldBody
from halley.api.http.sendfile import FileSlice
from halley.errors import BadRequest, NotAuthenticated
from halley.keys.service import Identity

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
Headers = list[Header]

JSON: Final = (b"content-type", b"application/json")
NO_BODY: Final = frozenset({204, 304})


class Response(msgspec.Struct, kw_only=True):
    """An answer: a body in one piece, or in `chunks`, or a `file` (whose length is not added).

    With `lines` these are its headers, joined (`heads.JoinedHeaders`), and `headers` is unused. With `later` the answer
    is deferred, and all other members are unused.
    """

    status: int = 200
    headers: Headers = []
    lines: bytes = b""
    body: bytes = b""
    chunks: AsyncGenerator[bytes, None] | None = None
    file: FileSlice | None = None
    later: "DeferredResponse | None" = None


Outcome = Response | Exception


class DeferredResponse(Protocol):
    """An answer that is given later, without a task that waits for it."""

    def park(self, give: Callable[[Outcome], None]) -> None:
        """Call `give` once, in a later cycle of the event loop."""
        ...

    def answer_now(self) -> None:
        """The client waits no longer but may still read: answer with the present state. Does nothing after the
        answer.
        """
        ...

    def leave(self) -> None:
        """The client has disconnected: do not answer any more. Does nothing after the answer."""
        ...


class Exchange:
    """The data of a request that its answer needs, even after its task has ended."""

    __slots__ = ("method", "origin", "path", "pattern", "request_id", "started")

    def __init__(self, scope: Scope, request_id: str, origin: bytes | None, started: float) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.pattern: str | None = None  # logged instead of a path that contains a capability
        self.request_id = request_id
        self.origin = origin
        self.started = started


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a caller that change the answer. `number` is the same for equal variants."""

    number: int
    origin: str  # scheme://host at which the caller reaches us, with a proxy's path prefix
    family: str  # "" or "/replicate"
    data_urls: bool
    expose_aborted: bool
    own_key: str | None = None  # of a caller that may not read: data of other keys is withheld

    @property
    def prefix(self) -> str:
        """The path prefix of a proxy, such as `/halley`; usually ""."""
        return urlsplit(self.origin).path

    @property
    def link_base(self) -> str:
        """The stored form of a caller's base, so that links in later messages begin as in its answers
        (Variants.of_base).
        """
        return f"{self.origin}{self.family}"

    @property
    def base(self) -> str:
        """The beginning of the API's own URLs."""
        return f"{self.origin}{self.family}/v1"


class Call:
    """A request, as handlers see it."""

    __slots__ = (
        "_identity",
        "family",
        "headers",
        "held_body",
        "method",
        "params",
        "receive",
        "request_id",
        "scope",
        "started_at",
        "variant",
    )

    variant: Variant

    def __init__(
        self, scope: Scope, receive: Receive, request_id: str, headers: dict[bytes, bytes], started_at: float
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.request_id = request_id
        self.method: str = scope["method"]
        self.headers = headers
        self.started_at = started_at  # monotonic time at which the headers were complete
        self.family = ""
        self.params: tuple[str, ...] = ()
        self._identity: Identity | None = None
        self.held_body: HeldBody | None = None  # released when the answer is ready

    @property
    def identity(self) -> Identity:
        """The caller. Routes without a scope have none."""
        if self._identity is None:
            raise NotAuthenticated(KEY_MISSING)
        return self._identity

    @identity.setter
    def identity(self, identity: Identity) -> None:
        self._identity = identity

    @property
    def account_id(self) -> str:
        return self.identity.account.id

    def header(self, name: bytes) -> str | None:
        """The value of a header; the last one if it occurs more than once."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def joined(self, name: bytes) -> str:
        """All values of a list header, comma-joined. Source: RFC 9110 section 5.3."""
        if name not in self.headers:
            return ""
        return ",".join([value.decode("latin-1") for key, value in self.scope["headers"] if key == name])

    def query(self) -> dict[str, str]:
        """The query's members; the last one if a name occurs more than once.

        Raises:
            BadRequest: it is not UTF-8, or has hundreds of members.
        """
        raw: bytes = self.scope.get("query_string", b"")
        if not raw:
            return {}
        try:
            return dict(
                parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=100, errors="strict"),
            )
        except ValueError as error:
            raise BadRequest("The query of the URL cannot be read; is it percent-encoded UTF-8?") from error


KEY_MISSING: Final = "You did not pass an authentication token. Send the header `Authorization: Bearer <key>`."


def read_token(authorization: bytes | None) -> str:
    """The token of an `Authorization` header with the scheme `Bearer` or `Token`, in any case.

    Source: contract section 3.

    Raises:
        NotAuthenticated: there is no token.
    """
    scheme, _, token = (authorization or b"").partition(b" ")
    if scheme.lower() not in (b"bearer", b"token") or not token.strip():
        raise NotAuthenticated(KEY_MISSING)
    return token.strip().decode("latin-1")


def json_response(body: bytes, status: int = 200, headers: Headers | None = None) -> Response:
    """An answer with a JSON body."""
    return Response(status=status, headers=[JSON, *(headers or ())], body=body)

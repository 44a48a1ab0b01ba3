"""Requests to one origin that the operator configured, such as the API of an upstream service."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio

from halley.egress.addresses import AddressRules
from halley.egress.body import MemorySink
from halley.egress.client import CONNECT_SECONDS, EgressResponse, request_headers
from halley.egress.errors import AddressRefused, FetchFailed, NotSent, TooLarge
from halley.egress.http_client import HttpClient
from halley.egress.reading import headers_of, read_body
from halley.egress.reasons import reason
from halley.egress.targets import EgressTarget, parse_target

if TYPE_CHECKING:
    import ssl

    import httpcore2

    from halley.egress.network import Resolve

KEPT_CONNECTIONS: Final = 8
KEPT_SECONDS: Final = 30.0  # an idle connection is closed then; servers close theirs after 60 s or more


def origin_of(url: str) -> tuple[str, int]:
    """The host and port of a URL, in the form of `AddressRules.origins`.

    Raises:
        AddressRefused: it is no http(s) URL, or has a user name, a query or a fragment.
    """
    target = _target(url)
    return target.host, target.port


class OriginClient:
    """Sends requests to paths below one URL. Its host may have any address; redirects are not followed.

    Connections are kept between requests, except with `fresh`: on a kept one, a request can be lost in the moment in
    which the host closes it.
    """

    def __init__(
        self,
        url: str,
        *,
        resolve: "Resolve | None" = None,
        tls: "ssl.SSLContext | None" = None,
        silence_seconds: float,
    ) -> None:
        """`silence_seconds`: without any byte of an answer for this time a request ends.

        Raises:
            AddressRefused: see `origin_of`.
        """
        self._base = _target(url)
        self._resolve = resolve
        self._client = HttpClient(tls)
        self._silence_seconds = silence_seconds
        self._kept: httpcore2.AsyncConnectionPool | None = None
        self._is_closed = False

    @property
    def host(self) -> tuple[str, int]:
        """In the form of `AddressRules.origins`."""
        return self._base.host, self._base.port

    def url(self, path: str) -> str:
        """The URL of a path below this one; `path` begins with a slash."""
        return f"{self._base.scheme}://{self._base.host_header}{self._base.path.rstrip('/')}{path}"

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        content: bytes = b"",
        limit_bytes: int,
        deadline_seconds: float,
        fresh: bool = False,
    ) -> EgressResponse:
        """Send one request and read its whole answer; `path` is percent-encoded, and may have a query.

        Raises:
            NotSent: no byte of `content` has left; for a request without content, no connection was made.
            TooLarge: the answer is longer than `limit_bytes`.
            FetchFailed: there was no complete answer in time. The request may have arrived.
        """
        target = parse_target(self.url(path), self._rules())
        body = _Body(content)
        with _deadline(target, deadline_seconds, body):
            async with self._pool(target, fresh=fresh) as pool:
                return await self._answer(pool, method, target, headers, body, limit_bytes, fresh=fresh)

    async def stream(self, url: str, *, silence_seconds: float) -> AsyncGenerator[bytes, None]:
        """The body of an answer as it arrives, without an end of its own: close the iterator.

        Raises:
            AddressRefused: the URL leads to another host, port or scheme than this one's.
            FetchFailed: it did not answer 200, or broke off.
        """
        target = parse_target(url, self._rules())
        if (target.scheme, target.host, target.port) != (self._base.scheme, *self.host):
            raise AddressRefused(f"{target.shown} is not at {self._base.host_header}.")
        tls = await self._client.ready(target)
        import httpcore2

        try:
            async with (
                self._new_pool(tls, connections=1) as pool,
                pool.stream(
                    "GET",
                    _address(target),
                    headers=request_headers(target, [("accept", "text/event-stream")], b"", "GET"),
                    extensions={"timeout": _timeouts(silence_seconds)},
                ) as response,
            ):
                if response.status != 200:
                    raise FetchFailed(f"{target.shown} answered {response.status}, not 200.", status=response.status)
                async for chunk in response.aiter_stream():
                    yield chunk
        except httpcore2.TimeoutException as error:
            raise FetchFailed(f"{target.shown} did not answer in time.") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise FetchFailed(f"{target.shown} could not be reached: {reason(error)}.") from error

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        content: bytes = b"",
        silence_seconds: float,
    ) -> "AsyncIterator[OpenAnswer]":
        """Send one request on a connection of its own, and read its answer as it arrives. Leaving the block closes the
        connection.

        Raises:
            NotSent: no byte of `content` has left.
            FetchFailed: no answer began, or what is read from it broke off.
        """
        target = parse_target(self.url(path), self._rules())
        body = _Body(content)
        tls = await self._client.ready(target)
        import httpcore2

        try:
            async with (
                self._new_pool(tls, connections=1) as pool,
                pool.stream(
                    method,
                    _address(target),
                    headers=request_headers(target, headers, content, method),
                    content=body.leaving() if content else None,
                    extensions={"timeout": _timeouts(silence_seconds), "trace": body.trace},
                ) as response,
            ):
                chunks = response.aiter_stream()
                yield OpenAnswer(status=response.status, headers=headers_of(response), chunks=chunks)
        except httpcore2.TimeoutException as error:
            raise body.failure(f"{target.shown} did not answer in time.") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise body.failure(f"{target.shown} could not be reached: {reason(error)}.") from error

    async def close(self) -> None:
        """Close the kept connections, and keep none from now on."""
        self._is_closed = True
        if self._kept is not None:
            kept, self._kept = self._kept, None
            await kept.aclose()

    async def _answer(
        self,
        pool: "httpcore2.AsyncConnectionPool",
        method: str,
        target: EgressTarget,
        headers: Sequence[tuple[str, str]],
        body: "_Body",
        limit_bytes: int,
        *,
        fresh: bool,
    ) -> EgressResponse:
        import httpcore2

        try:
            async with pool.stream(
                method,
                _address(target),
                headers=request_headers(target, headers, body.content, method, is_kept=not fresh),
                content=body.leaving() if body.content else None,
                extensions={"timeout": _timeouts(self._silence_seconds), "trace": body.trace},
            ) as response:
                sink = MemorySink()
                await read_body(response, sink, target, limit_bytes)
                return EgressResponse(status=response.status, headers=headers_of(response), body=sink.value())
        except httpcore2.TimeoutException as error:
            raise body.failure(f"{target.shown} did not answer in time.") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise body.failure(f"{target.shown} could not be reached: {reason(error)}.") from error

    @asynccontextmanager
    async def _pool(self, target: EgressTarget, *, fresh: bool) -> "AsyncIterator[httpcore2.AsyncConnectionPool]":
        tls = await self._client.ready(target)
        if fresh or self._is_closed:
            async with self._new_pool(tls, connections=1) as pool:
                yield pool
            return
        if self._kept is None:
            self._kept = self._new_pool(tls, connections=KEPT_CONNECTIONS)
        yield self._kept

    def _new_pool(self, tls: "ssl.SSLContext | None", *, connections: int) -> "httpcore2.AsyncConnectionPool":
        import httpcore2

        from halley.egress.network import GuardedNetwork, system_resolve

        return httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            network_backend=GuardedNetwork(self._rules(), self._resolve or system_resolve),
            max_connections=connections,
            keepalive_expiry=KEPT_SECONDS,
            retries=0,
        )

    def _rules(self) -> AddressRules:
        return AddressRules(origins=frozenset({self.host}))


class OpenAnswer:
    """An answer that still arrives: its status, its headers with names in lower case, and its body in pieces."""

    def __init__(self, *, status: int, headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.chunks = chunks

    async def whole(self, limit_bytes: int) -> EgressResponse:
        """The complete answer.

        Raises:
            TooLarge: its body is longer than `limit_bytes`.
        """
        found = bytearray()
        async for chunk in self.chunks:
            found += chunk
            if len(found) > limit_bytes:
                raise TooLarge(f"The answer is larger than the limit of {limit_bytes} bytes.")
        return EgressResponse(status=self.status, headers=self.headers, body=bytes(found))


class _Body:
    """The bytes of a request, and whether any of them may have left."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._has_left = False

    async def leaving(self) -> AsyncIterator[bytes]:
        """The content, for the HTTP client."""
        self._has_left = True  # the HTTP client asks for it when the headers are sent
        yield self.content

    async def trace(self, name: str, info: object) -> None:
        """A request without content may arrive as soon as its headers are sent."""
        del info
        if not self.content and name.endswith(".send_request_headers.started"):
            self._has_left = True

    def failure(self, text: str) -> FetchFailed:
        return FetchFailed(text) if self._has_left else NotSent(text)


def _address(target: EgressTarget) -> "httpcore2.URL":
    import httpcore2

    return httpcore2.URL(
        scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
    )


def _timeouts(silence_seconds: float) -> dict[str, float]:
    return {"connect": CONNECT_SECONDS, "read": silence_seconds, "write": silence_seconds}


@contextmanager
def _deadline(target: EgressTarget, seconds: float, body: _Body) -> Iterator[None]:
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise body.failure(f"{target.shown} took longer than {seconds:g} s.") from error


def _target(url: str) -> EgressTarget:
    if "?" in url or "#" in url:
        raise AddressRefused("The URL of a service has no query and no fragment.")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    except ValueError as error:
        raise AddressRefused("The URL is malformed: its host or port cannot be read.") from error
    return parse_target(url, AddressRules(origins=frozenset({host})))  # only its form is checked

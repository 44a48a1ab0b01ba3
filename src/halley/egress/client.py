"""Requests to other hosts, with limits for addresses, bytes, time and number."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from halley.assets.names import name_from_answer
from halley.assets.ports import Draft, Fetched
from halley.egress.addresses import AddressRules
from halley.egress.body import FileSink, MemorySink
from halley.egress.continuing import continuation_headers, save_draft
from halley.egress.errors import FetchFailed
from halley.egress.http_client import HttpClient
from halley.egress.reading import SILENCE_SECONDS, headers_of, read_body
from halley.egress.reasons import reason
from halley.egress.targets import EgressTarget, follow, parse_target
from halley.webhooks.ports import Posted

if TYPE_CHECKING:
    import ssl

    import httpcore2

    from halley.egress.network import Resolve

MAX_REDIRECTS: Final = 3
CONNECT_SECONDS: Final = 10.0
MAX_CONCURRENT: Final = 32
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_AGENT: Final = "halley"


class EgressResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of another host. Header names are lower case; of repeated ones the last counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Egress:
    """Sends outbound requests. It keeps no connection between requests, adds no credential and reads no proxy variable.

    The HTTP client is loaded at the first request: a server that sends none does not need the memory.
    """

    def __init__(
        self,
        rules: AddressRules,
        *,
        resolve: "Resolve | None" = None,
        tls: "ssl.SSLContext | None" = None,
        max_redirects: int = MAX_REDIRECTS,
        max_concurrent: int = MAX_CONCURRENT,
    ) -> None:
        self._rules = rules
        self._resolve = resolve
        self._client = HttpClient(tls)
        self._max_redirects = max_redirects
        self._max_concurrent = max_concurrent
        self._turns: anyio.CapacityLimiter | None = None

    def check_url(self, url: str) -> None:
        """Refuse, without network access, URLs that can never be fetched. See `assets.ports.Fetch`."""
        parse_target(url, self._rules)

    async def fetch(
        self,
        url: str,
        *,
        to: Path | Draft,
        limit_bytes: int,
        deadline_seconds: float,
        origin: tuple[str, int] | None = None,
    ) -> Fetched:
        """Write the body to the new file `to`, or continue a draft. See `assets.ports.Fetch` for the guarantees."""
        rules = self._rules
        if origin is not None:
            rules = msgspec.structs.replace(rules, origins=frozenset({origin}))
        target = parse_target(url, rules)
        async with self._turn():
            return await self._fetch(target, to, limit_bytes, deadline_seconds, rules)

    async def _fetch(
        self, target: EgressTarget, to: Path | Draft, limit_bytes: int, deadline_seconds: float, rules: AddressRules
    ) -> Fetched:
        wanted = continuation_headers(to) if isinstance(to, Draft) else ()
        with _deadline(target, deadline_seconds):
            for _ in range(self._max_redirects + 1):
                async with self._send("GET", target, wanted, b"", rules=rules) as response:
                    headers = headers_of(response)
                    location = headers.get("location")
                    if response.status not in _REDIRECTS or location is None:
                        if isinstance(to, Draft):
                            return await save_draft(response, headers, target, to, limit_bytes)
                        return await _save(response, headers, target, to, limit_bytes)
                target = follow(target, location, rules)
            raise FetchFailed(f"{target.shown} is behind more than {self._max_redirects} redirects.")

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        content: bytes = b"",
        limit_bytes: int,
        deadline_seconds: float,
    ) -> EgressResponse:
        """Send one request and read its whole answer. Redirects are not followed, since headers may contain secrets.

        Raises:
            AddressRefused: the URL or a resolved address is not allowed.
            TooLarge: the answer is longer than `limit_bytes`.
            FetchFailed: there was no complete answer in time. The request may still have arrived.
        """
        target = parse_target(url, self._rules)
        async with self._turn():
            with _deadline(target, deadline_seconds):
                return await self._request(method, target, headers, content, limit_bytes)

    async def _request(
        self, method: str, target: EgressTarget, headers: Sequence[tuple[str, str]], content: bytes, limit_bytes: int
    ) -> EgressResponse:
        async with self._send(method, target, headers, content) as response:
            sink = MemorySink()
            await read_body(response, sink, target, limit_bytes)
            return EgressResponse(status=response.status, headers=headers_of(response), body=sink.value())

    async def stream(self, url: str, *, silence_seconds: float) -> AsyncGenerator[bytes, None]:
        """The body of an event stream as it arrives, without an end of its own: close the iterator. Redirects are not
        followed, and it takes no turn among the limited requests.

        Raises:
            AddressRefused: the URL or a resolved address is not allowed.
            FetchFailed: it did not answer 200, was silent for so long, or broke off.
        """
        target = parse_target(url, self._rules)
        accept = (("accept", "text/event-stream"),)
        async with self._send("GET", target, accept, b"", silence_seconds=silence_seconds) as response:
            if response.status != 200:
                raise FetchFailed(f"{target.shown} answered {response.status}, not 200.", status=response.status)
            async for chunk in response.aiter_stream():
                yield chunk

    async def post(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content: bytes,
        connect_seconds: float,
        total_seconds: float,
        keep_bytes: int,
    ) -> Posted:
        """Send one message. See `webhooks.ports.HttpSender` for the promises."""
        target = parse_target(url, self._rules)
        async with self._turn():
            end = anyio.current_time() + total_seconds
            with _deadline(target, total_seconds):
                return await self._post(target, headers, content, connect_seconds, keep_bytes, end)

    async def _post(
        self,
        target: EgressTarget,
        headers: Sequence[tuple[str, str]],
        content: bytes,
        connect_seconds: float,
        keep_bytes: int,
        end: float,
    ) -> Posted:
        async with self._send("POST", target, headers, content, connect_seconds=connect_seconds) as response:
            body = await _beginning(response, keep_bytes, end)
            return Posted(status=response.status, headers=headers_of(response), body=body)

    def _turn(self) -> anyio.CapacityLimiter:
        """Limits the requests at once; waiting for it does not count as the request's time."""
        if self._turns is None:
            self._turns = anyio.CapacityLimiter(self._max_concurrent)
        return self._turns

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        target: EgressTarget,
        headers: Sequence[tuple[str, str]],
        content: bytes,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        rules: AddressRules | None = None,
    ) -> "AsyncIterator[httpcore2.Response]":
        tls = await self._client.ready(target)
        import httpcore2

        from halley.egress.network import GuardedNetwork, system_resolve

        network = GuardedNetwork(rules or self._rules, self._resolve or system_resolve)
        try:
            async with (
                httpcore2.AsyncConnectionPool(
                    ssl_context=tls, network_backend=network, max_connections=1, retries=0
                ) as pool,
                pool.stream(
                    method,
                    httpcore2.URL(
                        scheme=target.scheme.encode(),
                        host=target.host.encode(),
                        port=target.port,
                        target=target.path.encode(),
                    ),
                    headers=request_headers(target, headers, content, method),
                    content=content or None,
                    extensions={
                        "timeout": {"connect": connect_seconds, "read": silence_seconds, "write": silence_seconds}
                    },
                ) as response,
            ):
                yield response
        except httpcore2.TimeoutException as error:
            raise FetchFailed(f"{target.shown} did not answer in time.") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise FetchFailed(f"{target.shown} could not be reached: {reason(error)}.") from error


async def _save(
    response: "httpcore2.Response", headers: Mapping[str, str], target: EgressTarget, to: Path, limit_bytes: int
) -> Fetched:
    if response.status != 200:
        raise FetchFailed(f"{target.shown} answered {response.status}, not 200.", status=response.status)
    sink = await FileSink.create(to)
    try:
        size_bytes = await read_body(response, sink, target, limit_bytes)
        await sink.finish()
    except BaseException:
        sink.discard()
        raise
    return Fetched(
        path=to,
        content_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
        size_bytes=size_bytes,
        file_name=name_from_answer(headers.get("content-disposition", ""), target.path),
    )


_LAST_WORD_SECONDS: Final = 0.05  # before the deadline: then an answer that has only begun is accepted


async def _beginning(response: "httpcore2.Response", keep_bytes: int, end: float) -> bytes:
    """The first bytes of a body, as they arrive; any error after the status ends it there."""
    import httpcore2

    kept = bytearray()
    try:
        with anyio.CancelScope(deadline=end - _LAST_WORD_SECONDS):
            async for chunk in response.aiter_stream():
                kept += chunk
                if len(kept) >= keep_bytes:
                    break
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        pass  # the receiver's status is enough
    return bytes(kept[:keep_bytes])


@contextmanager
def _deadline(target: EgressTarget, seconds: float) -> Iterator[None]:
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise FetchFailed(f"{target.shown} took longer than {seconds:g} s.") from error


def request_headers(
    target: EgressTarget,
    headers: Sequence[tuple[str, str]],
    content: bytes,
    method: str,
    *,
    is_kept: bool = False,
) -> list[tuple[bytes, bytes]]:
    """All headers of a request, with the given ones instead of our own; `is_kept`: for a connection that stays open."""
    own = {
        "host": target.host_header,
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": _AGENT,
    }
    if not is_kept:
        own["connection"] = "close"
    if content or method not in ("GET", "HEAD"):
        own["content-length"] = str(len(content))
    given = {name.lower(): value for name, value in headers}
    return [(name.encode(), value.encode("latin-1")) for name, value in {**own, **given}.items()]

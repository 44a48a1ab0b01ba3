"""The ASGI application: finds the route and the caller of a request, and sends the answer."""

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing, nullcontext
from functools import partial
from typing import Final

from halley.api.context import ApiContext
from halley.api.http.asgi import (
    NO_BODY,
    Call,
    DeferredResponse,
    Exchange,
    Headers,
    Outcome,
    Receive,
    Response,
    Scope,
    Send,
)
from halley.api.http.cors import preflight, shared_preflight
from halley.api.http.credential import CREDENTIAL_KEY, Credential
from halley.api.http.framing import Framing
from halley.api.http.heads import headers_in
from halley.api.http.origins import Variants, public_path
from halley.api.http.routing import Route, Router, RouteTable
from halley.api.http.unserved import UNSERVED
from halley.api.presentation.payloads import PredictionPayloads
from halley.api.presentation.problems import internal_problem, method_not_allowed, problem_of, unknown_path
from halley.api.presentation.withheld import withholding
from halley.api.routes import routes_of
from halley.api.waiting.hold import GONE_KEY, MAY_READ
from halley.errors import Forbidden, HalleyError
from halley.ids import NewId
from halley.keys.records import Scope as KeyScope
from halley.keys.service import Identity
from halley.predictions.hints import Changed, Hint
from halley.threads import MadeOnce

_log: Final = logging.getLogger(__name__)
_access: Final = logging.getLogger("halley.access")
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_CAPABILITY: Final = re.compile(r"[0-9a-z]{26}-[A-Za-z0-9_-]{22,}")  # also in paths with a wrong prefix
REQUEST_ID_HEADER: Final = b"x-request-id"
MISSING_PAGE: Final = b"/ui/missing"  # what browsers get for a path of the dashboard that nothing is at
_NO_STORE: Final = (b"cache-control", b"no-store")  # frameworks and proxies have cached a status forever
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"etag, idempotency-replayed, location, preference-applied, retry-after, x-request-id",
)


LoadPages = Callable[["Api"], Sequence[Route]]
"""Makes the routes of pages for people."""


class RequestIds:
    """Gives each request a unique id; cheap, because every request gets one."""

    def __init__(self, new_id: NewId) -> None:
        self._prefix = new_id()
        self._count = 0

    def of(self, sent: bytes | None) -> str:
        """The client's own id if it is valid, otherwise a new one."""
        if sent is not None and _REQUEST_ID.fullmatch(sent):
            return sent.decode("ascii")
        self._count += 1
        return f"{self._prefix}-{self._count:x}"


class Api:
    """The API as an ASGI application. It owns nothing that needs to be opened or closed.

    Connect its `receive` to the bus; set `draining`, then call `release_waiting`, to stop.
    """

    def __init__(self, parts: ApiContext, load_pages: LoadPages | None = None) -> None:
        """`load_pages` is called once, in a thread, at the first request for a path that may be a page's: many servers
        never show one.
        """
        self.parts: Final = parts
        parts.routes = routes_of(parts.settings)
        self.router = Router(parts.routes, UNSERVED, prefix=public_path(parts.settings))
        self._pages = None if load_pages is None else MadeOnce(partial(load_pages, self))
        self.variants: Final = Variants(parts.settings)
        self.pictures: Final = PredictionPayloads(parts.presenter, self.variants)
        self.request_ids: Final = RequestIds(parts.new_id)
        self.framing: Final = Framing()
        self._origins = frozenset(origin.rstrip("/").encode() for origin in parts.settings.server.cors_origins)
        self.has_cors: Final = bool(self._origins)
        self._logs_access = parts.settings.server.access_log

    def add_pages(self, pages: Sequence[Route]) -> None:
        """Serve these routes beside the API's own; they are no part of its description."""
        self._pages = None
        self.router = Router((*self.parts.routes, *pages), UNSERVED, prefix=public_path(self.parts.settings))

    @property
    def draining(self) -> bool:
        """True while the server stops: creates get 503, and requests wait only for running predictions."""
        return self.parts.is_draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self.parts.is_draining = value

    def release_waiting(self) -> None:
        """Answer all waiting requests with the present state: nothing will change any more."""
        self.parts.attendance.close()
        self.parts.hub.release_all()

    def receive(self, hint: Hint) -> None:
        """Receive a hint from the bus: drop cached answers about the changed prediction."""
        if type(hint) is Changed:
            self.parts.cache.forget(hint.prediction_id)
            self.parts.delivered.forget(hint.prediction_id)
            self.parts.batches.forget(hint.prediction_id)
            self.parts.hub.changed(hint.prediction_id)

    @property
    def has_waiting(self) -> bool:
        """Whether any request waits for the poll of the store."""
        return self.parts.hub.has_holds

    def look(self, changed: Collection[str]) -> None:
        """Receive the result of a poll of the store: predictions that may have changed, even without a hint."""
        self.parts.batches.forget_all(changed)  # before a stream is woken, so that it reads again
        self.parts.hub.poll_found(changed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. Our own server calls the two halves separately, so that a waiting request needs
        no task.
        """
        if scope["type"] != "http":
            raise RuntimeError(f"this application speaks HTTP only, not {scope['type']!r}")
        exchange, answer = await self.begin(scope, receive)
        outcome: Outcome = answer
        if answer.later is not None:
            outcome = await given(answer.later)
        await self.finish(exchange, outcome, scope, receive, send)

    async def begin(self, scope: Scope, receive: Receive) -> tuple[Exchange, Response]:
        """The answer to a request, or a deferred one."""
        headers = dict(scope["headers"])
        request_id = self.request_ids.of(headers.get(REQUEST_ID_HEADER))
        exchange = Exchange(scope, request_id, headers.get(b"origin"), self.parts.clock.monotonic())
        call = Call(scope, receive, request_id, headers, exchange.started)
        path = scope.get("raw_path") or scope["path"].encode()
        found = self.router.find(path)
        try:
            if found is None and self._pages is not None and self.router.may_be_page(path):
                await self._add_pages(self._pages)
                found = self.router.find(path)
            if found is None and _wants_page(call) and self.router.may_be_page(path):
                found = self.router.find(MISSING_PAGE)  # only if there are pages
            if found is None:
                return exchange, unknown_path(request_id)
            exchange.pattern = found.place.secret_pattern
            call.family, call.params = found.family, found.params
            return exchange, await self._routed(call, found.place, _route(found.place, call.method))
        except Exception as error:  # noqa: BLE001  # the last resort: any other error becomes a 500 with an id
            return exchange, _refusal(error, exchange)
        finally:
            if call.held_body is not None:
                call.held_body.release()

    async def finish(self, exchange: Exchange, outcome: Outcome, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer of a request; the last three arguments are those of ASGI."""
        del receive
        answer = self.answer_of(exchange, outcome)
        with answer.file or nullcontext():
            await _send(answer, self.headers_of(exchange, answer), exchange, scope, send)
        self.note(exchange, answer)

    def answer_of(self, exchange: Exchange, outcome: Outcome) -> Response:
        """The answer itself, also to a request that failed."""
        return outcome if isinstance(outcome, Response) else _refusal(outcome, exchange)

    def headers_of(self, exchange: Exchange, answer: Response) -> Headers:
        """All headers of an answer, except those that the server itself adds."""
        if answer.lines:
            answer.headers, answer.lines = headers_in(answer.lines), b""
        if self._origins:
            self._add_cors(exchange, answer)
        headers = answer.headers
        for name, _ in headers:
            if name == b"cache-control":
                break
        else:
            headers = [*headers, _NO_STORE]
        if answer.chunks is None and answer.file is None and answer.status not in NO_BODY:
            headers = [*headers[:1], (b"content-length", str(len(answer.body)).encode()), *headers[1:]]
        return [*headers, (REQUEST_ID_HEADER, exchange.request_id.encode())]

    def note(self, exchange: Exchange, answer: Response) -> None:
        """Write the request to the access log."""
        if self._logs_access:
            self._log_access(exchange, answer.status)

    async def _add_pages(self, made: MadeOnce[Sequence[Route]]) -> None:
        pages = await made.get()
        if self._pages is not None:  # else another request was first
            self.add_pages(pages)

    async def _routed(self, call: Call, place: RouteTable, route: Route | None) -> Response:
        if route is None:
            if call.method == "OPTIONS" and place.is_shared:
                return Response(status=204, headers=[(b"allow", place.allow), *shared_preflight(call.headers)])
            if call.method == "OPTIONS" and self._origins and b"access-control-request-method" in call.headers:
                return Response(status=204, headers=preflight(call.headers, self._origins))
            return await self._refused(call, place)
        if route.scope is not None:
            call.identity = await self._identify(call, route.scope)
        call.variant = self.variants.of_scope(call.scope, call.headers, call.family)
        if route.scope is not None and not call.identity.may(KeyScope.READ):
            call.variant = withholding(call.variant, call.identity.key.id)
        return await route.handler(call, self.parts)

    async def _refused(self, call: Call, place: RouteTable) -> Response:
        """The answer to a method that this path does not serve."""
        method = "GET" if call.method == "HEAD" else call.method
        why = place.unserved.get(method, "")
        if why:
            await self._identify(call, KeyScope.READ)
        if place.routes:
            return method_not_allowed(call.request_id, place.allow, why)
        return unknown_path(call.request_id, why)

    async def _identify(self, call: Call, scope: KeyScope) -> Identity:
        credential: Credential = call.scope.get(CREDENTIAL_KEY) or Credential()
        identity = await credential.identity(call.headers.get(b"authorization"), self.parts.keys)
        if not identity.may(scope):
            raise Forbidden(f"This key lacks the scope `{scope}`. Make one that has it with `halley keys create`.")
        return identity

    def _add_cors(self, exchange: Exchange, answer: Response) -> None:
        origin = exchange.origin
        if origin is None or any(name == b"access-control-allow-origin" for name, _ in answer.headers):
            return
        if origin in self._origins or b"*" in self._origins:
            allowed = (b"access-control-allow-origin", origin)
            answer.headers = [*answer.headers, allowed, (b"vary", b"Origin"), _EXPOSED]

    def _log_access(self, exchange: Exchange, status: int) -> None:
        # a path or a query may contain a capability, which must not be logged
        shown = exchange.pattern or _CAPABILITY.sub("...", exchange.path)
        elapsed = (self.parts.clock.monotonic() - exchange.started) * 1000
        _access.info("%s %s %d %.1f ms %s", exchange.method, _printable(shown), status, elapsed, exchange.request_id)


def _wants_page(call: Call) -> bool:
    return call.method in ("GET", "HEAD") and "text/html" in call.joined(b"accept")


def _route(place: RouteTable, method: str) -> Route | None:
    route = place.routes.get(method)
    return place.routes.get("GET") if route is None and method == "HEAD" else route


def _refusal(error: Exception, exchange: Exchange) -> Response:
    if isinstance(error, HalleyError):
        return problem_of(error, exchange.request_id)
    _log.error("request %s failed", exchange.request_id, exc_info=error)
    return internal_problem(exchange.request_id, is_create=exchange.method == "POST")


async def given(later: DeferredResponse) -> Outcome:
    """The outcome of a deferred answer, when it is there; this task waits."""
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    try:
        later.park(outcome.set_result)
        return await outcome
    finally:
        later.leave()


async def _send(answer: Response, headers: Headers, exchange: Exchange, scope: Scope, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    has_body = exchange.method != "HEAD" and answer.status not in NO_BODY
    chunks = answer.chunks if answer.file is None else answer.file.chunks()
    if has_body and chunks is not None:
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    gone = scope.get(GONE_KEY)
                    if gone is not None and (gone is not MAY_READ or answer.file is None):
                        break
        except HalleyError as error:
            # the status is sent already: an answer without its end is the only sign that is left
            _log.warning("the answer to request %s ends too early: %s", exchange.request_id, error)
            return
    await send({"type": "http.response.body", "body": answer.body if has_body else b""})


def _printable(path: str) -> str:
    return path if path.isascii() and path.isprintable() else ascii(path)

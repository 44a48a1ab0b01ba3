"""Requests of our own pages to the API, in this process.

A page asks with the identity of its reader, and the whole way of a request follows: route, scope, handler, problem. So
a page shows exactly what the API answers to that key, and needs no rules of its own about who may see what.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from halley.api.application import REQUEST_ID_HEADER, Api, given
from halley.api.http.asgi import Call, Header, Headers, Message, Receive, Response, Scope
from halley.api.http.credential import CREDENTIAL_KEY, Credential
from halley.api.http.heads import headers_in
from halley.api.http.origins import FORWARDED
from halley.api.shared_answers import SharedAnswers
from halley.api.waiting.account_changes import AccountChanges
from halley.api.waiting.hold import GONE_KEY, HOLD_KEY, STREAM_KEY
from halley.api.waiting.streams import begin_stream, open_stream
from halley.errors import Forbidden, NotFound
from halley.ids import is_id
from halley.keys.records import Scope as KeyScope
from halley.keys.service import Identity, Keys

_PASSED_ON: Final = (b"host", b"user-agent", *FORWARDED)  # they decide how links in the answer begin
_EXPOSE: Final = (b"x-halley-expose-aborted", b"1")  # people know this status, and lists and their filters agree
_OF_A_BODY: Final = (b"content-type", b"content-length", b"content-encoding")
_OF_A_FILE: Final = (b"range", b"if-range", b"if-none-match", b"if-match")
_PIECE_BYTES: Final = 256 * 1024
_JSON: Final = (b"content-type", b"application/json")
EVENTS: Final = (b"accept", b"text/event-stream")
_OF_CONNECTION: Final = frozenset({GONE_KEY, HOLD_KEY, STREAM_KEY})
_OF_READER: Final = frozenset({GONE_KEY})


class ApiAnswer:
    """What the API answers. A stream has `chunks`, which the caller must read or close; others have a `body`."""

    __slots__ = ("body", "chunks", "headers", "status")

    def __init__(
        self, status: int, headers: Headers, body: bytes, chunks: AsyncGenerator[bytes, None] | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.chunks = chunks

    @property
    def is_ok(self) -> bool:
        """Whether the API did what was asked."""
        return self.status < 400

    def json(self) -> Any:
        """The body as a value; None if it is empty."""
        return msgspec.json.decode(self.body) if self.body else None

    def header(self, name: bytes) -> str:
        """The value of a header; "" without it."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


class InternalApi:
    """Asks the API without a connection. One for each process."""

    def __init__(self, api: Api) -> None:
        parts = api.parts
        self._api = api
        self.now: Final = parts.clock.now
        self.changes: Final = AccountChanges(hub=parts.hub, predictions=parts.predictions, clock=parts.clock)
        self._shared_answers: Final = SharedAnswers[ApiAnswer](parts.clock, lambda: self.changes.noted)

    async def ask(
        self,
        call: Call,
        identity: Identity,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Sequence[Header] = (),
    ) -> ApiAnswer:
        """The API's answer to this identity. `call` is the request for which it is asked.

        `path` is one of the API's, such as `/v1/models`, without a query: a question mark is part of a name. A `body`
        that is not bytes is sent as JSON, and that of `call` itself is passed on as it arrives. A problem is an answer
        like any other. With the header `EVENTS`, a stream ends when the reader of `call` leaves.
        """
        scope = _scope(call, identity, method, path, query, body, headers)
        linked = _OF_CONNECTION if EVENTS in headers else _OF_READER
        return await self._asked(_LinkedScope(scope, call.scope, linked), body)

    async def _asked(self, scope: Scope, body: Any = None) -> ApiAnswer:
        answer = await self._outcome(scope, body)
        if scope["method"] != "GET":
            self._shared_answers.forget()  # its reader looks for what it changed
        chunks = answer.chunks if answer.file is None else answer.file.chunks()
        if chunks is None or _is_stream(answer.headers):
            return ApiAnswer(answer.status, answer.headers, answer.body, chunks)
        try:
            whole = b"".join([piece async for piece in chunks])
        finally:
            if answer.file is not None:
                answer.file.close()
        return ApiAnswer(answer.status, answer.headers, whole)

    async def file(self, call: Call, identity: Identity, path: str) -> Response:
        """The API's answer to `call`, whose range and conditions are passed on; the bytes are not read yet."""
        headers = [(name, call.headers[name]) for name in _OF_A_FILE if name in call.headers]
        return await self._outcome(_scope(call, identity, call.method, path, None, None, headers), None)

    async def ask_shared(
        self, call: Call, identity: Identity, path: str, *, query: Mapping[str, str] | None = None
    ) -> ApiAnswer:
        """As `ask` for a read, but pages of the same account may get one answer as long as nothing changes."""
        scopes = tuple(sorted(identity.key.scopes))
        key = (identity.account.id, scopes, call.variant.number, path, tuple(sorted((query or {}).items())))
        scope = _scope(call, identity, "GET", path, query, None, ())
        if self.changes.noted is None:  # else others wait for the answer, too
            scope = _LinkedScope(scope, call.scope, _OF_READER)
        return await self._shared_answers.get(key, lambda: self._asked(scope))

    async def follow(self, call: Call, identity: Identity, topic: str) -> Response:
        """The event stream that says when something of a topic has changed; its reader then asks what.

        Topics are `predictions` (any of the account), `prediction:ID`, and `clock` (every few seconds, for what
        changes without hints). The stream ends with the key.

        Raises:
            NotFound: there is no such topic.
        """
        if not identity.may(KeyScope.READ):
            raise Forbidden("This key lacks the scope `read`.")
        changes, scope = self.changes, call.scope
        kind, _, prediction_id = topic.partition(":")
        if kind == "prediction" and is_id(prediction_id):
            found = await self.ask(call, identity, "GET", f"/v1/predictions/{prediction_id}")
            if not found.is_ok:
                raise NotFound(f"There is no prediction {prediction_id}")
            chunks = changes.of_prediction(prediction_id, identity, scope)
        elif topic == "clock":
            chunks = changes.of_clock(identity, scope)
        elif topic == "predictions":
            chunks = changes.of_account(identity, scope)
        else:
            raise NotFound("There is no such topic")
        begin_stream(call)
        return open_stream(chunks)

    async def _outcome(self, scope: Scope, body: Any) -> Response:
        if isinstance(body, Call):
            exchange, answer = await self._api.begin(scope, body.receive)
            return self._api.answer_of(exchange, answer if answer.later is None else await given(answer.later))
        data = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        exchange, answer = await self._api.begin(scope, _received(data))
        outcome = self._api.answer_of(exchange, answer if answer.later is None else await given(answer.later))
        if outcome.lines:
            outcome.headers, outcome.lines = headers_in(outcome.lines), b""
        return outcome


def _received(data: bytes) -> Receive:
    """Gives a body; a large one in pieces, so that other requests are served between them."""
    at = 0

    async def receive() -> Message:
        nonlocal at
        start, at = at, min(at + _PIECE_BYTES, len(data))
        if start:
            await asyncio.sleep(0)
        is_whole = len(data) <= _PIECE_BYTES
        piece = data if is_whole else data[start:at]
        return {"type": "http.request", "body": piece, "more_body": at < len(data)}

    return receive


class _LinkedScope(dict[str, Any]):
    """The scope of a request whose outer request has what the connection says under some names: that its reader has
    left; and what a stream needs that is passed on.
    """

    def __init__(self, values: Scope, outer: Scope, linked: frozenset[str]) -> None:
        super().__init__(values)
        self._outer = outer
        self._linked = linked

    def __contains__(self, name: object) -> bool:
        return name in self._outer if name in self._linked else super().__contains__(name)

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self._linked:
            self._outer[name] = value
        else:
            super().__setitem__(name, value)

    def get(self, name: str, default: Any = None) -> Any:
        return self._outer.get(name, default) if name in self._linked else super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        return self._outer.pop(name, *default) if name in self._linked else super().pop(name, *default)


class _Verified(Credential):
    """The credential of a request whose caller is known."""

    __slots__ = ("_known",)

    def __init__(self, identity: Identity) -> None:
        super().__init__()
        self._known = identity

    async def identity(self, header: bytes | None, keys: Keys) -> Identity:
        del header, keys
        return self._known


def _scope(
    call: Call,
    identity: Identity,
    method: str,
    path: str,
    query: Mapping[str, str] | None,
    body: Any,
    headers: Sequence[Header],
) -> Scope:
    sent: Headers = [(name, call.headers[name]) for name in _PASSED_ON if name in call.headers]
    sent += [(REQUEST_ID_HEADER, call.request_id.encode()), _EXPOSE]
    if isinstance(body, Call):
        sent += [(name, body.headers[name]) for name in _OF_A_BODY if name in body.headers]
    elif body is not None and not isinstance(body, bytes):
        sent.append(_JSON)
    outer = call.scope
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": quote(path, safe="/%:@!$&'()*+,;=~-._").encode(),
        "query_string": urlencode(query or {}).encode(),
        "headers": [*sent, *headers],
        "scheme": outer["scheme"],
        "server": outer.get("server"),
        "client": outer.get("client"),
        CREDENTIAL_KEY: _Verified(identity),
    }


def _is_stream(headers: Headers) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)

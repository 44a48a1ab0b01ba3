"""The protocol of our server: the fast path for frequent reads, and answers that are deferred without a task."""

import asyncio
import math
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from halley.api.cycles import cork_of, end, is_open, leave, piece_writer
from halley.api.direct_create import KnownHead
from halley.api.http.asgi import NO_BODY, DeferredResponse, Exchange, Outcome, Response
from halley.api.http.cork import CorkedTransport, unread_bytes
from halley.api.http.credential import CREDENTIAL_KEY, Credential
from halley.api.http.framing import ANY_LENGTH, Fault, as_asked, body_head
from halley.api.http.heads import Starts, head_of, joined
from halley.api.http.sendfile import FileSlice
from halley.api.limited_protocol import BODY, HEADERS, IDLE, WORK, LimitedProtocol, NotTaken
from halley.api.repeats import ATTEMPT_KEY
from halley.api.shortcut import Asker, ShortCut
from halley.api.waiting.hold import GONE_KEY, STREAM_KEY

_KEPT: Final = (ATTEMPT_KEY, GONE_KEY)
_REPEATED_BYTES: Final = 4096  # of a request that is recognised by its bytes
MOST_BEHIND: Final = 1000  # requests that wait for the one before them; each takes 2.5 KB
_TOO_MANY: Final = Fault(
    HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", "Too many requests were sent without waiting for answers."
)
_STREAM_UNSENT_BYTES: Final = 64 * 2**10
# Linux has it, and Python names it since 3.12: the kernel buffers no more than this beyond what it can send
_TCP_NOTSENT_LOWAT: Final = 25
_NO_HEADERS: Final[list[tuple[bytes, bytes]]] = []  # shared by the requests of all parked connections
NOBODY_WAITS: Final = asyncio.Event()


class GuardedProtocol(LimitedProtocol):
    """One connection. `server.make_server` sets the class members of a subclass."""

    # there are thousands of connections: without __slots__ each would cost 2 KB more
    __slots__ = (
        "_answer",
        "_asker",
        "_chunk",
        "_credential",
        "_has_eof",
        "_head",
        "_is_short",
        "_is_stream",
        "_is_unread",
        "_parked",
        "_sending",
        "_served",
    )

    shortcut: ClassVar[ShortCut | None] = None
    starts: ClassVar[Starts] = Starts()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answer: bytes | None = None
        self._asker: Asker | None = None
        self._chunk: bytes | None = None  # the newest chunk, if it began with a request and may contain exactly one
        self._credential = Credential()
        self._head: KnownHead | None = None  # of its newest create
        self._is_stream = False
        self._is_short = False  # the newest answer used the fast path
        self._has_eof = False
        self._is_unread = False  # the peer closed, and had not acknowledged all data
        self._sending: FileSlice | None = None
        self._parked: DeferredResponse | None = None  # the request that is being answered is deferred, without a task
        self._served: RequestResponseCycle | None = None  # that request, or the previous one; `cycle` is the newest

    # input

    def data_received(self, data: bytes) -> None:
        if self._head is not None and not (data := self._create_at_once(self._head, data)):
            return
        asker = self._asker
        if asker is not None and self.shortcut is not None:
            if data == asker.request and self._is_same_again():
                answer = self.shortcut.again(asker, self.server_state.default_headers)
                if answer is not None:
                    self._answer_short(answer)
                    return
            asker.request = None
        self._chunk = data if self.phase is IDLE and len(data) <= _REPEATED_BYTES else None
        super().data_received(data)

    def _create_at_once(self, head: KnownHead, data: bytes) -> bytes:
        raise NotImplementedError  # see DirectProtocol

    def on_message_begin(self) -> None:
        if self._is_repeating:
            return
        # uvicorn's preparations here are needed only if the request leaves the fast path
        if self._asker is not None:
            self._asker.request = None
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._header_bytes = 0
        # the chunk may contain the end of the previous request: it is unknown how much of it belongs here
        self._raw_bytes = 0 if self.phase is IDLE else -self._chunk_bytes
        self.phase = HEADERS
        self.deadline = self.loop.time() + self.limits.header_seconds

    def on_headers_complete(self) -> None:
        if self._is_repeating:
            return
        if self.parser.should_upgrade():
            keeps = self.parser.should_keep_alive()
            method, version = self.parser.get_method(), self.parser.get_http_version()
            self._body_head = body_head(method, version, self.headers, keeps=keeps)
        if self.shortcut is not None and self.parser.get_method() == b"GET" and self._is_free():
            asker = self._asker
            if asker is None:
                asker = self._asker = Asker(self.scheme or "http", self.server, self.client)
            self._answer = self.shortcut.answer(self.url, self.headers, asker, self.server_state.default_headers)
            if self._answer is not None:
                self.phase = BODY
                return
        self.deadline = self.loop.time() + self.limits.body_seconds
        earlier = cork_of(self.cycle)
        if earlier is not None:
            earlier.sent()  # a client that sends its next request has read the previous answer, or does not need it
        version = self.parser.get_http_version()
        self._fault = self.api.framing.fault(version, self.headers)
        if len(self.pipeline) >= MOST_BEHIND:
            self._fault = _TOO_MANY
        if self._fault is not None:
            raise NotTaken
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        if not url.startswith(b"/"):
            headers = as_asked(url, headers)
        if version == "1.0":
            expects = False  # RFC 9110, section 10.1.1
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()  # raises for an invalid URL: then there is no new cycle
        scope: dict[str, Any] = self.cycle.scope  # type: ignore[assignment]
        scope[STREAM_KEY] = self.begin_stream
        scope[CREDENTIAL_KEY] = self._credential
        if version == "1.0":  # it has no chunks: the answer ends with the connection
            self.cycle.chunked_encoding, self.cycle.expected_content_length = False, ANY_LENGTH
        method = self.parser.get_method()
        if method != b"HEAD":
            end = None if self.cycle.keep_alive else self._end
            cork = CorkedTransport(self.transport, at_once=method == b"POST", end=end)
            self.cycle.transport = cork  # type: ignore[assignment]
        self._is_short = False
        self.phase = BODY

    def on_body(self, body: bytes) -> None:
        self._has_body = True
        self.deadline = self.loop.time() + self.limits.body_seconds
        if self.cycle.response_complete:
            self._throw_away(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._body_head is not None:
            return  # its body is still to come
        answer = self._answer
        if answer is not None:
            self._answer = None
            self._answer_short(answer)
            if self._asker is not None and self._chunk is not None and self._chunk.endswith(b"\r\n\r\n"):
                self._asker.request, self._chunk = self._chunk, None
            return
        super().on_message_complete()
        if self.cycle.response_complete:
            self._rest()
        else:
            self.phase = WORK
            self.deadline = math.inf

    # output

    def begin_stream(self) -> Callable[[bytes], bool] | None:
        """The answer is a stream of unknown length, and may be cut after any event.

        The kernel would buffer megabytes for a client that does not read: it gets a small buffer, so that we notice
        soon. Returns what writes a piece at once.
        """
        self._is_stream = True
        connection = self.transport.get_extra_info("socket")
        if connection is not None and sys.platform == "linux":
            connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _STREAM_UNSENT_BYTES)
        return None if self._served is None else piece_writer(self._served, self.transport)

    def cut_stuck_stream(self) -> None:
        """The server wants to stop: close a stream whose client has not read everything."""
        if self._is_stream and self.transport.get_write_buffer_size():
            self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        del app  # it is our own application, which has two halves
        self._served = cycle
        self._spawn(self._serve(cycle))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _serve(self, cycle: RequestResponseCycle) -> None:
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
        exchange, answer = await self.api.begin(scope, cycle.receive)
        if answer.later is None:
            if self._is_stream:
                self._lighten(cycle)
                # it exists as long as the stream, and only this is still used
                left: dict[str, Any] = {name: scope[name] for name in ("method", GONE_KEY) if name in scope}
                scope.clear()
                scope.update(left)
            elif self._answer_at_once(cycle, exchange, answer):
                return
            if answer.file is not None and exchange.method == "GET" and self._can_send_files():
                await cycle.run_asgi(partial(self._send_file, cycle, exchange, answer, answer.file))
            else:
                await cycle.run_asgi(partial(self.api.finish, exchange, answer))
        elif cycle.disconnected or self.transport.is_closing():
            answer.later.leave()
        else:
            self._park(cycle, exchange, answer.later)
            if self._has_eof:
                answer.later.answer_now()

    def _answer_at_once(self, cycle: RequestResponseCycle, exchange: Exchange, answer: Response) -> bool:
        """Send a complete answer directly, without the two steps of ASGI. False: it must use them."""
        if answer.chunks is not None or answer.file is not None or not self._may_write(cycle):
            return False
        defaults, cork = self.server_state.default_headers, cork_of(cycle)
        if answer.lines and cork is not None and not self.api.has_cors:
            start = self.starts.of(STATUS_LINE[answer.status], defaults)
            cork.write_whole(joined(start, answer, exchange.request_id, keep_alive=cycle.keep_alive))
        else:
            headers = [*defaults, *self.api.headers_of(exchange, answer)]
            try:
                head = head_of(STATUS_LINE[answer.status], headers, keep_alive=cycle.keep_alive)
            except ValueError:
                return False  # uvicorn refuses it, too, and logs it
            cycle.transport.write(head)
            if exchange.method != "HEAD":
                cycle.transport.write(b"" if answer.status in NO_BODY else answer.body)
        end(cycle)
        self.api.note(exchange, answer)
        return True

    def _may_write(self, cycle: RequestResponseCycle) -> bool:
        """Whether the answer can be written at once: nothing must be awaited or was sent before it."""
        return not (
            self.flow.write_paused or cycle.disconnected or cycle.response_started or self.transport.is_closing()
        )

    def _can_send_files(self) -> bool:
        """Whether the kernel may send a file: the connection is not encrypted, and nothing is queued before it."""
        return self.scheme == "http" and not self.transport.is_closing() and not self.transport.get_write_buffer_size()

    async def _send_file(
        self, cycle: RequestResponseCycle, exchange: Exchange, answer: Response, file: FileSlice, *_asgi: Any
    ) -> None:
        with file:
            headers = [*self.server_state.default_headers, *self.api.headers_of(exchange, answer)]
            head = head_of(STATUS_LINE[answer.status], headers, keep_alive=cycle.keep_alive)
            self._sending = file
            cycle.response_started = True
            await file.send(head, self.transport, self)
            self._sending = None
        # otherwise the caller closes the connection, so that the client does not take the part for the whole file
        if not cycle.disconnected and not file.is_unsent:
            cycle.response_complete = True
            if not cycle.keep_alive:
                self.transport.close()
            cycle.on_response()
        self.api.note(exchange, answer)

    def _park(self, cycle: RequestResponseCycle, exchange: Exchange, later: DeferredResponse) -> None:
        """Release everything of a request except its connection; another task will send the answer."""
        self._lighten(cycle)
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
        kept = {name: scope[name] for name in _KEPT if name in scope}
        cycle.scope = {"method": exchange.method, **kept}  # type: ignore[typeddict-item]
        self._parked = later
        later.park(partial(self._give, cycle, exchange))

    def _lighten(self, cycle: RequestResponseCycle) -> None:
        """Release the data of the request."""
        self._asker = None
        if self.scope is cycle.scope:
            if self.headers is cycle.scope.get("headers"):  # else those of the next request have begun to arrive
                self.headers = _NO_HEADERS
            self.scope = None  # type: ignore[assignment]
        cycle.message_event = NOBODY_WAITS

    def _give(self, cycle: RequestResponseCycle, exchange: Exchange, outcome: Outcome) -> None:
        self._parked = None
        answer = outcome if isinstance(outcome, Response) else self.api.answer_of(exchange, outcome)
        try:
            is_answered = self._answer_at_once(cycle, exchange, answer)
        except Exception:  # other requests are answered after this one
            self.logger.exception("the answer to request %s could not be written", exchange.request_id)
            self.transport.abort()
            return
        if not is_answered:
            self._spawn(cycle.run_asgi(partial(self.api.finish, exchange, answer)))

    def on_response_complete(self) -> None:
        self._is_stream = False
        self._thrown_bytes = 0
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        following = self.pipeline.pop() if self.pipeline else None
        if self.flow.read_paused:
            self.flow.resume_reading()
        if following is not None:
            self._start_asgi_task(*following)
        elif self.phase is WORK:
            self._rest()
            if self._has_eof:
                self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has closed its side. If an answer is pending, the connection stays open for it.

        It may have closed only its side, or have disconnected: this is unknown until something is written to it. So no
        code waits for it any longer, and a waiting create is answered with the present state. Streams and held reads
        end, because their clients would gain nothing.
        """
        self._has_eof = True
        self._is_unread = unread_bytes(self.transport) > 0
        is_listening = self._is_stream or self._is_held_get()
        if self.phase is not WORK or is_listening or self.scheme != "http":  # TLS connections cannot be half-closed
            return False
        for cycle in self._requests():
            leave(cycle, by_peer=True, was_unsent=False, may_read=True)
        if self._parked is not None:
            self._parked.answer_now()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        cork = cork_of(self._served)
        was_unsent = not self._is_short and (self._is_unread or (cork is not None and cork.is_unsent))
        super().connection_lost(exc)
        if self._sending is not None:
            self._sending.stop()
        by_peer = self._has_eof or isinstance(exc, OSError)  # otherwise we closed it
        self._give_up_requests(by_peer=by_peer, was_unsent=was_unsent)

    def _give_up_requests(self, *, by_peer: bool = False, was_unsent: bool = False) -> None:
        served = self._served
        if served is not None and is_open(served):  # uvicorn notifies only the newest request
            served.disconnected = True
            served.message_event.set()
        for cycle in self._requests():
            leave(cycle, by_peer=by_peer, was_unsent=was_unsent)
        if self._parked is not None:
            self._parked.leave()
            self._parked = None
        self.pipeline.clear()

    def _is_held_get(self) -> bool:
        return self._parked is not None and self._served is not None and self._served.scope["method"] == "GET"

    def _requests(self) -> list[RequestResponseCycle]:
        """The request that is being answered, if there is one, and those that were sent after it."""
        behind = [cycle for cycle, _ in self.pipeline]
        return behind if self._served is None else [self._served, *behind]

    def _is_free(self) -> bool:
        """Whether no earlier request of this connection is open, and the connection stays open after this one."""
        if is_open(self.cycle) or self.pipeline or self.flow.write_paused:
            return False
        return self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"

    def _is_same_again(self) -> bool:
        """Whether the chunk can be a whole request that need not be parsed: no request is open or has begun."""
        # without calls of our own: this runs for each poll
        cycle: RequestResponseCycle | None = self.cycle
        return (
            self.phase is IDLE
            and (cycle is None or cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _answer_short(self, answer: bytes) -> None:
        self._is_short = True
        self.server_state.total_requests += 1
        self._rest()
        self.transport.write(answer)

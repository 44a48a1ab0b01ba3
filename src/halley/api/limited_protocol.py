"""uvicorn's HTTP protocol with deadlines and size limits.

Deadlines are plain numbers on the connection; once a second the server checks all of them (server.UvicornServer), so no
request needs a timer. `phase` is what the client must send next: it follows the parser, not the answers.
"""

import asyncio
import math
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from halley.api.application import Api
from halley.api.cycles import cork_of, is_open
from halley.api.http.framing import Fault
from halley.api.http.lean import LeanFlowControl, Pipeline
from halley.api.http.lingering import Lingering, limit_bytes
from halley.api.presentation.problems import broken_request
from halley.settings import LimitSettings

HEADERS: Final = "headers"  # a request has begun
BODY: Final = "body"
WORK: Final = "work"  # the request is complete: the server works
IDLE: Final = "idle"
ENDED: Final = "ended"  # no further answer


class HeadersTooLarge(Exception):
    """Stops the parser."""


class NotTaken(Exception):
    """Stops the parser: the request must be refused."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection, whose client has limited time and size for each request."""

    # there are thousands of connections: without __slots__ each would cost 2 KB more
    __slots__ = (
        "_body_head",
        "_chunk_bytes",
        "_fault",
        "_has_body",
        "_header_bytes",
        "_is_repeating",
        "_is_too_large",
        "_raw_bytes",
        "_thrown_bytes",
        "_unsent_bytes",
        "deadline",
        "phase",
        "write_deadline",
    )

    api: ClassVar[Api]
    limits: ClassVar[LimitSettings] = LimitSettings()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline: Pipeline = Pipeline()  # type: ignore[assignment]
        self.phase = IDLE
        self.deadline = math.inf  # on the loop's clock
        self.write_deadline = math.inf
        self._header_bytes = 0  # of complete header lines
        self._raw_bytes = 0  # received since the request began, while its headers are not complete
        self._chunk_bytes = 0
        self._is_too_large = False
        self._thrown_bytes = 0  # of a body that arrived after the answer
        self._unsent_bytes = 0  # at the last check, while the client is slow
        self._fault: Fault | None = None
        self._has_body = False  # the newest chunk contained a part of a body
        self._body_head: bytes | None = None  # of a request whose body the parser skipped
        self._is_repeating = False  # the parser gets a request whose headers are known

    # input

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = LeanFlowControl(transport, self.pipeline)
        # a silent client has the same time limit as a slow one
        self.deadline = self.loop.time() + self.limits.header_seconds

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._chunk_bytes = len(data)
        self._feed(data)
        if self.phase is HEADERS:
            # the parser reports a header line only when it is complete: a huge one would stay in memory unnoticed
            self._raw_bytes += len(data)
            if self._raw_bytes > self.limits.header_bytes:
                self._refuse_headers()
        elif self.phase is BODY:
            # trailer fields and chunk extensions are never read, but the parser keeps them
            self._raw_bytes = 0 if self._has_body else self._raw_bytes + len(data)
            self._has_body = False
            if self._raw_bytes > self.limits.header_bytes:
                self._refuse_headers()

    def _feed(self, data: bytes) -> None:
        """Pass received data to the parser.

        The parser stops after the headers of a request for another protocol, and skips its body. We support no other
        protocol, so the request is an ordinary one (RFC 9110, section 7.8); clients that would prefer HTTP/2 send such
        requests, with bodies.
        """
        self._unset_keepalive_if_required()
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                data = data[stop.args[0] :]
                if self._body_head is not None:
                    self._repeat_head(self._body_head)
            except httptools.HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def _repeat_head(self, head: bytes) -> None:
        self._body_head = None
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in the earlier parser
        self._is_repeating = True
        self.parser.feed_data(head)
        self._is_repeating = False

    def on_url(self, url: bytes) -> None:
        if not self._is_repeating:
            self._count(len(url))
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # without further method calls: this runs for each header of each poll
        if self._is_repeating:
            return
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self.limits.header_bytes:
            self._count(0)
        if self.phase is not HEADERS:
            return  # a trailer field is not a header: it comes too late to change the request
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self.write_deadline = self.loop.time() + self.limits.body_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self.write_deadline = math.inf
        cork = cork_of(self.cycle)
        if cork is not None:
            cork.sent()

    def shutdown(self) -> None:
        """The server stops. Connections that only read and drop a body do not delay it."""
        if self.phase is ENDED:
            self.transport.close()
        else:
            super().shutdown()

    # limits

    def check_deadlines(self, now: float) -> None:
        """End the connection if its client is too slow. The server calls this about once a second."""
        if now >= self.write_deadline:
            unsent = self.transport.get_write_buffer_size()
            if unsent >= self._unsent_bytes:
                self.transport.abort()  # it does not read: an orderly close would wait for it
            self._unsent_bytes, self.write_deadline = unsent, now + self.limits.body_seconds
        elif now >= self.deadline:
            if self.flow.read_paused:
                self.deadline = now + self.limits.body_seconds  # the delay is the server's own
            elif self.phase is BODY or (self.phase is HEADERS and self._raw_bytes > 0):
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, "Request timeout", "The request did not arrive in time.")
            else:
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        if self._is_too_large:
            self._refuse_headers()
        elif self._fault is not None:
            self._refuse(*self._fault)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", msg)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.limits.header_bytes:
            self._is_too_large = True
            raise HeadersTooLarge

    def _refuse_headers(self) -> None:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        limit = self.limits.header_bytes
        self._refuse(
            status, "Headers too large", f"URL and headers are larger than {limit} bytes (limits.header_bytes)."
        )

    def _refuse(self, status: HTTPStatus, title: str, detail: str) -> None:
        """Answer an invalid request, and close the connection."""
        if self.transport.is_closing():
            return
        if self._may_answer():
            body = broken_request(status, title, detail)
            lines = [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
            lines.append(b"content-type: application/problem+json\r\ncontent-length: %d\r\n" % len(body))
            self.transport.write(
                b"%b%bconnection: close\r\n\r\n%b" % (STATUS_LINE[status.value], b"".join(lines), body)
            )
        if status is HTTPStatus.REQUEST_TIMEOUT:  # the client has used its time
            self.transport.close()
        else:
            self._linger()

    def _end(self) -> None:
        """Close the connection after the last answer."""
        if self.phase is BODY:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """The client is still sending: close when it has read the answer, or after a time limit."""
        if self.api.draining or self.transport.is_closing():
            self.transport.close()
            return
        self.phase = ENDED
        self._give_up_requests()
        self.flow.resume_reading()
        Lingering(self.transport, self, limit_bytes(self.limits.upload_bytes)).begin()

    def _give_up_requests(self) -> None:
        """Nothing more is written to this connection: notify the code that works on its requests."""

    def _throw_away(self, size: int) -> None:
        """Keep the connection open for a limited length of an unwanted body."""
        self._thrown_bytes += size
        if self._thrown_bytes > limit_bytes(self.limits.upload_bytes):
            self.transport.close()

    def _may_answer(self) -> bool:
        """Whether bytes written now would be read as the answer to the newest request."""
        if self.phase is BODY and not self.pipeline:
            return not self.cycle.response_started
        return not is_open(self.cycle)

    def _rest(self) -> None:
        self.phase = IDLE
        self.deadline = self.loop.time() + self.limits.idle_seconds

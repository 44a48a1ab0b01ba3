"""uvicorn's HTTP protocol with deadlines and size limits.

Deadlines are plain numbers on the connection; one sweep a second looks at all of them (server.Server), so no request
pays for a timer. `phase` says what is awaited from the client: it follows the parser, not the answers.
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
WORK: Final = "work"  # the request is complete: it is our turn
IDLE: Final = "idle"
ENDED: Final = "ended"  # nothing more is answered


class HeadersTooLarge(Exception):
    """Stops the parser."""


class NotTaken(Exception):
    """Stops the parser, too: the request must be refused."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection, whose client must say what it wants in time and in size."""

    # one for each of thousands of connections: as members of the instance's dictionary they would cost 2 KB more
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
        self.pipeline = Pipeline()  # type: ignore[assignment]
        self.phase = IDLE
        self.deadline = math.inf  # on the loop's clock
        self.write_deadline = math.inf
        self._header_bytes = 0  # of complete header lines
        self._raw_bytes = 0  # that came since the request began, while its headers are not complete
        self._chunk_bytes = 0
        self._is_too_large = False
        self._thrown_bytes = 0  # of a body that came after the answer
        self._unsent_bytes = 0  # when it was last looked at, while the client is slow
        self._fault: Fault | None = None
        self._has_body = False  # the newest chunk brought some of a body
        self._body_head: bytes | None = None  # of a request whose body the parser left out
        self._is_repeating = False  # the parser is given a request whose headers are known

    # what comes in

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = LeanFlowControl(transport)
        self.deadline = self.loop.time() + self.limits.header_seconds  # nothing said at all is no better than too slow

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._chunk_bytes = len(data)
        self._feed(data)
        if self.phase is HEADERS:
            # the parser reports a header line only when it is whole: a huge one would sit in memory unseen
            self._raw_bytes += len(data)
            if self._raw_bytes > self.limits.header_bytes:
                self._refuse_headers()
        elif self.phase is BODY:
            # trailer fields and chunk extensions: they are never read, but the parser keeps them
            self._raw_bytes = 0 if self._has_body else self._raw_bytes + len(data)
            self._has_body = False
            if self._raw_bytes > self.limits.header_bytes:
                self._refuse_headers()

    def _feed(self, data: bytes) -> None:
        """Give the parser what came.

        It stops behind the headers of a request that wants to go over to another protocol, and leaves its body out. We
        speak no other one, so the request is an ordinary one (RFC 9110, section 7.8); clients that would like HTTP/2
        send such ones, with bodies.
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
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the one before
        self._is_repeating = True
        self.parser.feed_data(head)
        self._is_repeating = False

    def on_url(self, url: bytes) -> None:
        if not self._is_repeating:
            self._count(len(url))
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # no methods in between: this runs for each header of each poll
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
        """The server stops. Whoever only reads on for the client's sake does not hold that up."""
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
                self.transport.abort()  # it does not read: closing in an orderly way would wait for it
            self._unsent_bytes, self.write_deadline = unsent, now + self.limits.body_seconds
        elif now >= self.deadline:
            if self.flow.read_paused:
                self.deadline = now + self.limits.body_seconds  # we are the ones who are slow
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
        """Answer a request that never became one, and end the connection."""
        if self.transport.is_closing():
            return
        if self._may_answer():
            body = broken_request(status, title, detail)
            lines = [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
            lines.append(b"content-type: application/problem+json\r\ncontent-length: %d\r\n" % len(body))
            self.transport.write(
                b"%b%bconnection: close\r\n\r\n%b" % (STATUS_LINE[status.value], b"".join(lines), body)
            )
        if status is HTTPStatus.REQUEST_TIMEOUT:  # it has had its time
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
        """The client still sends: close when it has read the answer, or is at it for too long."""
        if self.api.draining or self.transport.is_closing():
            self.transport.close()
            return
        self.phase = ENDED
        self._give_up_requests()
        self.flow.resume_reading()
        Lingering(self.transport, self, limit_bytes(self.limits.upload_bytes)).begin()

    def _give_up_requests(self) -> None:
        """Nothing more is written to this connection: whoever works for its requests need not continue."""

    def _throw_away(self, size: int) -> None:
        """The connection stays open, but only for a limited length of an unwanted body."""
        self._thrown_bytes += size
        if self._thrown_bytes > limit_bytes(self.limits.upload_bytes):
            self.transport.close()

    def _may_answer(self) -> bool:
        """Whether bytes written now would be taken as the answer to the request that came in last."""
        if self.phase is BODY and not self.pipeline:
            return not self.cycle.response_started
        return not is_open(self.cycle)

    def _rest(self) -> None:
        self.phase = IDLE
        self.deadline = self.loop.time() + self.limits.idle_seconds

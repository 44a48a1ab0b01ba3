"""The protocol of our server, with creates that begin without the parser."""

import math
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from halley.api.cycles import DirectCycle, begun, sent
from halley.api.direct_create import DirectCreates, KnownHead
from halley.api.http.asgi import Exchange, Outcome, Response
from halley.api.http.heads import joined
from halley.api.limited_protocol import BODY, IDLE, WORK, LimitedProtocol
from halley.api.protocol import NOBODY_WAITS, GuardedProtocol
from halley.api.resources.pending_create import PendingCreate


class DirectProtocol(GuardedProtocol):
    """One connection; see `direct_create`.

    Many clients send head and body separately: a known head waits for its body here, under the same time limit as
    behind the parser. When anything else happens, the parser gets it.
    """

    __slots__ = ("_begun",)

    direct: ClassVar[DirectCreates]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begun = b""  # a known head, and what has arrived of its body

    # learning

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._chunk is not None and self.phase is BODY and self.parser.get_method() == b"POST":
            data, self._chunk = self._chunk, None
            is_known = self._head is not None and self._head.split(data) is not None
            if not is_known and self.cycle.keep_alive and self.parser.get_http_version() == "1.1":
                self._head = self.direct.learn(data, self.scope) or self._head  # type: ignore[arg-type]

    # creating

    def _create_at_once(self, head: KnownHead, data: bytes) -> bytes:
        """Begin the create that the data contains, without the parser. Returns what the parser must get."""
        if self._begun:
            data, self._begun, self.phase = self._begun + data, b"", IDLE
        if not self._is_same_again():
            return data
        split = head.split(data)
        if split is None:
            return data
        length, body = split
        if len(body) < length and self.direct.may_begin(head.meaning, length):
            self._wait_for_body(data)
            return b""
        create = self.direct.begin(head.meaning, body) if len(body) == length else None
        if create is None:
            return data
        self._await(*create)
        return b""

    def _wait_for_body(self, data: bytes) -> None:
        self._begun, self.phase = data, BODY
        self.deadline = self.loop.time() + self.limits.body_seconds
        sent(self.cycle)  # as in on_headers_complete

    def _parse_begun(self) -> None:
        """Give the parser what waits for its body."""
        if self._begun:
            data, self._begun, self.phase = self._begun, b"", IDLE
            self._chunk, deadline = None, self.deadline
            LimitedProtocol.data_received(self, data)
            self.deadline = deadline

    def eof_received(self) -> bool:  # type: ignore[override]
        self._parse_begun()
        return super().eof_received()

    def shutdown(self) -> None:
        self._parse_begun()
        super().shutdown()

    def check_deadlines(self, now: float) -> None:
        if now >= self.deadline:
            self._parse_begun()
        super().check_deadlines(now)

    def connection_lost(self, exc: Exception | None) -> None:
        self._begun = b""
        super().connection_lost(exc)
        if type(self.cycle) is DirectCycle:
            self.cycle.forget()

    def _await(self, create: PendingCreate, exchange: Exchange) -> None:
        """Continue as after `_park`."""
        self._chunk = self._asker = None
        self._is_short = False
        earlier: RequestResponseCycle | None = self.cycle
        if earlier is not None and (type(earlier) is not DirectCycle or earlier.cork.is_unsent):
            sent(earlier)  # as in on_headers_complete
        cycle = self.cycle = self._served = begun(self, create.attempt, NOBODY_WAITS)
        self.phase = WORK
        self.deadline = math.inf
        self._parked = create
        cycle.exchange = exchange
        create.park(self._give_at_once)

    def _give_at_once(self, outcome: Outcome) -> None:
        """As `_give`, in few calls for the usual answer, to the create that is being answered."""
        cycle = self._served
        if not isinstance(cycle, DirectCycle):
            raise TypeError(f"the answer is to a create that began directly, not {cycle!r}")
        exchange = cycle.exchange
        if not isinstance(outcome, Response) or not outcome.lines or not cycle.keep_alive or self.api.has_cors:
            self._give(cycle, exchange, outcome)
        elif self._may_write(cycle):
            self._parked = None
            start = self.starts.of(STATUS_LINE[outcome.status], self.server_state.default_headers)
            try:
                cycle.cork.write_whole(joined(start, outcome, exchange.request_id, keep_alive=True))
            except Exception:  # as in _give
                self.logger.exception("the answer to request %s could not be written", exchange.request_id)
                self.transport.abort()
                return
            cycle.response_started = cycle.response_complete = cycle.is_spare = True
            self.on_response_complete()
            self.api.note(exchange, outcome)
        else:
            self._give(cycle, exchange, outcome)

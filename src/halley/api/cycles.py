"""Information about a request that uvicorn's protocol is handling; uvicorn calls that a cycle."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from halley.api.http.asgi import Exchange
from halley.api.http.cork import CorkedTransport
from halley.api.repeats import ATTEMPT_KEY, Answering
from halley.api.waiting.hold import GONE_KEY, HOLD_KEY, MAY_READ, Hold


def leave(cycle: RequestResponseCycle | None, *, by_peer: bool, was_unsent: bool, may_read: bool = False) -> None:
    """The connection of this request is lost: notify the code that is still working on it.

    `may_read`: the client has closed its own side only, as far as is known; a file that is being sent continues.
    """
    if cycle is None:
        return
    scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
    was_open = is_open(cycle)
    create: Answering | None = scope.get(ATTEMPT_KEY)
    if create is not None and by_peer and (was_open or was_unsent):
        create.drop()
    if was_open:
        scope[GONE_KEY] = MAY_READ if may_read else True
        hold: Hold | None = scope.get(HOLD_KEY)
        if hold is not None:
            (hold.answer_now if may_read else hold.leave)()


def end(cycle: RequestResponseCycle) -> None:
    """The answer is written: what uvicorn does behind the last byte that it sends."""
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.message_event.set()  # the code that still reads the body learns that there is no more
    if not cycle.keep_alive:
        cycle.transport.close()
    on_response, cycle.on_response = cycle.on_response, _nothing
    on_response()


def piece_writer(cycle: RequestResponseCycle, transport: asyncio.Transport) -> Callable[[bytes], bool]:
    """Writes a further piece of an answer, without the steps of ASGI; gives False if they are needed."""
    flow = cycle.flow

    def write(piece: bytes) -> bool:
        if (
            flow.write_paused
            or cycle.disconnected
            or cycle.response_complete
            or not (cycle.response_started and cycle.chunked_encoding)
            or transport.is_closing()
        ):
            return False
        transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        return True

    return write


class DirectCycle(RequestResponseCycle):
    """A request that arrived whole, and whose answer is deferred. `is_spare`: the next one may use the same object."""

    is_spare = False
    cork: CorkedTransport
    exchange: Exchange

    def forget(self) -> None:
        """Its connection is lost, and not kept in memory by an answer that is over."""
        if self.response_complete:
            self.on_response = _nothing


def begun(protocol: HttpToolsProtocol, attempt: Answering, never: asyncio.Event) -> DirectCycle:
    """A cycle for a create that begins without the parser. `never` is not waited for."""
    before = protocol.cycle
    if type(before) is DirectCycle and before.is_spare:
        before.scope[ATTEMPT_KEY] = attempt  # type: ignore[typeddict-unknown-key]
        before.default_headers = protocol.server_state.default_headers
        before.is_spare = before.response_started = before.response_complete = False
        return before
    scope: dict[str, Any] = {"method": "POST", ATTEMPT_KEY: attempt}
    transport = CorkedTransport(protocol.transport, at_once=True, again=True)
    cycle = DirectCycle(
        scope=scope,  # type: ignore[arg-type]
        transport=transport,  # type: ignore[arg-type]
        flow=protocol.flow,
        logger=protocol.logger,
        access_logger=protocol.access_logger,
        access_log=protocol.access_log,
        default_headers=protocol.server_state.default_headers,
        message_event=never,
        expect_100_continue=False,
        keep_alive=True,
        on_response=protocol.on_response_complete,
    )
    cycle.cork = transport
    cycle.more_body = False
    return cycle


def cork_of(cycle: RequestResponseCycle | None) -> CorkedTransport | None:
    transport: object = None if cycle is None else cycle.transport
    return transport if isinstance(transport, CorkedTransport) else None


def sent(cycle: RequestResponseCycle | None) -> None:
    """A client that sends its next request has read this answer, or does not need it."""
    cork = cork_of(cycle)
    if cork is not None and cork.is_unsent:
        cork.sent()


def is_open(cycle: RequestResponseCycle | None) -> bool:
    """Whether a request is being answered. A new connection has none, despite uvicorn's types."""
    return cycle is not None and not cycle.response_complete


def _nothing() -> None:
    pass

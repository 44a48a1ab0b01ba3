"""The protocol of our server, with creates that begin without the parser."""

import math
from functools import partial
from typing import Any, ClassVar

from halley.api.cycles import begun, cork_of
from halley.api.direct_create import DirectCreates, KnownHead
from halley.api.limited_protocol import WORK
from halley.api.protocol import NOBODY_WAITS, GuardedProtocol
from halley.api.repeats import ATTEMPT_KEY


class DirectProtocol(GuardedProtocol):
    """One connection; see `direct_create`."""

    __slots__ = ()

    direct: ClassVar[DirectCreates]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._chunk is not None and self.phase is WORK and self.parser.get_method() == b"POST":
            self._learn(self._chunk)

    def _learn(self, data: bytes) -> None:
        """Remember the head of a create: the next one with it is not parsed."""
        self._chunk = None
        cycle, scope = self.cycle, self.scope
        is_known = self._head is not None and self._head.body_in(data) is not None
        if not is_known and cycle.keep_alive and self.parser.get_http_version() == "1.1":
            self._head = self.direct.learn(data, scope) or self._head  # type: ignore[arg-type]

    def _create_at_once(self, head: KnownHead, data: bytes) -> bool:
        body = head.body_in(data)
        create = None if body is None else self.direct.begin(head.meaning, body)
        if create is None:
            return False
        self._chunk = self._asker = None
        self._is_short = False
        earlier = cork_of(self.cycle)
        if earlier is not None and earlier.is_unsent:
            earlier.sent()  # as in on_headers_complete
        # from here on as after `_park`
        scope: dict[str, Any] = {"method": "POST", ATTEMPT_KEY: create.attempt}
        cycle = self.cycle = self._served = begun(self, scope, NOBODY_WAITS)
        self.phase = WORK
        self.deadline = math.inf
        self._parked = create.waiter
        create.waiter.park(partial(self._give, cycle, create.exchange))
        return True

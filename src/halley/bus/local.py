"""The bus inside one process: a list of receivers, called directly."""

import logging
from collections.abc import Callable

from halley.predictions.hints import Hint

_log = logging.getLogger(__name__)


class LocalBus:
    """Implements `predictions.hints.Bus`: every hint is delivered once and at once, in the order of subscription."""

    def __init__(self) -> None:
        self._receivers: dict[int, Callable[[Hint], None]] = {}  # by number of the subscription
        self._present: tuple[tuple[int, Callable[[Hint], None]], ...] = ()  # the same: it may change during a hint
        self._count = 0

    def subscribe(self, receive: Callable[[Hint], None]) -> Callable[[], None]:
        self._count += 1
        number = self._count
        self._receivers[number] = receive
        self._present = tuple(self._receivers.items())

        def unsubscribe() -> None:
            self._receivers.pop(number, None)
            self._present = tuple(self._receivers.items())

        return unsubscribe

    def publish(self, hint: Hint) -> None:
        for number, receive in self._present:
            if number not in self._receivers:
                continue  # an earlier receiver has ended this subscription
            try:
                receive(hint)
            except Exception:  # noqa: BLE001 - an error in one receiver must not stop the others
                _log.exception("a receiver of hints failed on %r", hint)

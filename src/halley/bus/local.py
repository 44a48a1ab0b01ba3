"""The bus inside one process: a list of receivers, called directly."""

import logging
from collections.abc import Callable
from typing import Final, get_args

from halley.predictions.hints import Hint

_KINDS: Final[tuple[type[Hint], ...]] = get_args(Hint)
_log = logging.getLogger(__name__)

_Numbered = tuple[int, Callable[[Hint], None]]
_Subscription = tuple[Callable[[Hint], None], tuple[type[Hint], ...]]


class LocalBus:
    """Implements `predictions.hints.Bus`: every hint is delivered once and at once, in the order of subscription."""

    def __init__(self) -> None:
        self._receivers: dict[int, _Subscription] = {}  # by its number
        self._present: dict[type[Hint], tuple[_Numbered, ...]] = {}  # the same by kind: it may change during a hint
        self._count = 0
        self._sort()

    def subscribe(self, receive: Callable[[Hint], None], *kinds: type[Hint]) -> Callable[[], None]:
        self._count += 1
        number = self._count
        self._receivers[number] = receive, kinds or _KINDS
        self._sort()

        def unsubscribe() -> None:
            self._receivers.pop(number, None)
            self._sort()

        return unsubscribe

    def _sort(self) -> None:
        receivers = self._receivers.items()
        self._present = {
            kind: tuple((number, receive) for number, (receive, kinds) in receivers if kind in kinds) for kind in _KINDS
        }

    def publish(self, hint: Hint) -> None:
        for number, receive in self._present[type(hint)]:
            if number not in self._receivers:
                continue  # an earlier receiver has ended this subscription
            try:
                receive(hint)
            except Exception:  # noqa: BLE001 - an error in one receiver must not stop the others
                _log.exception("a receiver of hints failed on %r", hint)

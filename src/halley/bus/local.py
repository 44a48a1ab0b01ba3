"""The bus inside one process: a list of receivers, called at once."""

import logging
from collections.abc import Callable

from halley.predictions.ports import Hint

_log = logging.getLogger(__name__)


class LocalBus:
    """Fulfils `predictions.ports.Bus`. `subscribe` and `publish` belong to the loop's thread."""

    def __init__(self) -> None:
        self._receivers: list[Callable[[Hint], None]] = []

    def subscribe(self, receive: Callable[[Hint], None]) -> None:
        """Call `receive` for every hint from now on, in the order of subscription."""
        self._receivers.append(receive)

    def publish(self, hint: Hint) -> None:
        for receive in self._receivers:
            try:
                receive(hint)
            except Exception:  # noqa: BLE001 - one broken receiver must not silence the others
                _log.exception("a receiver of hints failed on %r", hint)

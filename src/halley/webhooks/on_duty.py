"""Runs webhooks only while this process has the duty to send them."""

from collections.abc import Callable

from halley.predictions.duties import Duty
from halley.predictions.hints import Changed, Hint
from halley.webhooks.service import WebhookService

MakeService = Callable[[Duty | None], WebhookService]


class WebhooksOnDuty:
    """A new service for each time on duty: the memory of an earlier one may be outdated."""

    def __init__(self, make: MakeService) -> None:
        self._make = make
        self._service: WebhookService | None = None

    def receive(self, hint: Hint) -> None:
        """Hints from the bus."""
        if self._service is not None and not (type(hint) is Changed and not hint.for_webhook):
            self._service.receive(hint)

    async def run(self, duty: Duty | None = None) -> None:
        """Send until cancelled; writes carry the duty. Without a duty no other process can send."""
        self._service = self._make(duty)
        try:
            await self._service.run()
        finally:
            self._service = None

    async def drain(self) -> None:
        """See `WebhookService.drain`."""
        if self._service is not None:
            await self._service.drain()

"""The payload of webhook messages: the answer to a GET now, without a request."""

from halley.api.http.origins import Variants
from halley.api.presentation.present import Presenter
from halley.predictions.records import Prediction


class PredictionPayloads:
    """Implements `webhooks.ports.PayloadRenderer`."""

    def __init__(self, presenter: Presenter, variants: Variants) -> None:
        self._presenter = presenter
        self._variants = variants

    async def encoded(self, row: Prediction, link_base: str | None) -> bytes:
        # a receiver has no user agent, so no profile: files are links, never data: URLs
        return await self._presenter.encoded(row, self._variants.of_base(link_base))

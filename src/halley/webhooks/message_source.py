"""Makes the bodies of messages."""

import msgspec

from halley.predictions.reading import PredictionReader
from halley.webhooks.ports import PayloadRenderer


class MessageSource(msgspec.Struct, frozen=True, kw_only=True):
    """Reads a prediction, and renders it for its receiver."""

    reader: PredictionReader
    pictures: PayloadRenderer

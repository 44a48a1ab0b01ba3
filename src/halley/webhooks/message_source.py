"""Where the bodies of messages come from."""

import msgspec

from halley.predictions.reading import PredictionReader
from halley.webhooks.ports import PayloadRenderer


class MessageSource(msgspec.Struct, frozen=True, kw_only=True):
    """Reads a prediction, and writes it as its receiver is shown it."""

    reader: PredictionReader
    pictures: PayloadRenderer

"""Finds the retention period: that of the key, otherwise of the model, otherwise of how the prediction was created.

It is computed each time from the present settings: a shortened period applies to old predictions, too.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from halley.keys.ports import KeyStore
from halley.keys.records import Key
from halley.models.ports import ModelStore
from halley.predictions.records import Prediction
from halley.predictions.status import Source
from halley.settings import ModelSettings, RetentionSettings, parse_period


class Endless:
    """Implements `predictions.ports.ExpiryPolicy` for parts that report past events from their own copy, even late."""

    def ends_at(self, prediction: Prediction) -> datetime | None:
        del prediction
        return None


class Periods:
    """Implements `predictions.ports.ExpiryPolicy`. None is a period without end.

    `refresh` reads keys and models. A model's own setting applies as long as its predictions exist, even while it is
    not served, or cannot be: a broken `cog.yaml` must not shorten a period.
    """

    def __init__(
        self,
        *,
        settings: RetentionSettings,
        model_settings: Mapping[str, ModelSettings],
        keys: KeyStore,
        models: ModelStore,
    ) -> None:
        self._keys = keys
        self._models = models
        self._of_source = {Source.API: _period(settings.api), Source.WEB: _period(settings.web)}
        self._of_key: dict[str, timedelta | None] = {}
        self._configured = {name: _period(text) for name, model in model_settings.items() if (text := model.retention)}
        self._of_model = self._configured

    async def refresh(self) -> None:
        """Read the present settings of keys and models."""
        keys, models = await self._keys.list_keys(), await self._models.list_models()
        self._of_key = {key.id: _period(text) for key in keys if (text := key.options.retention) is not None}
        stored = {model.full_name: _period(text) for model in models if (text := model.retention) is not None}
        self._of_model = stored | self._configured

    def note_key(self, key: Key) -> None:
        """Use the new settings of a key."""
        if key.options.retention is not None:
            self._of_key[key.id] = _period(key.options.retention)
        else:
            self._of_key.pop(key.id, None)

    def of(self, source: Source, model: str, key_id: str | None) -> timedelta | None:
        """How long such predictions keep their data after their end."""
        if key_id in self._of_key:
            return self._of_key[key_id]
        if model in self._of_model:
            return self._of_model[model]
        return self._of_source[source]

    def ends_at(self, prediction: Prediction) -> datetime | None:
        """When the data of this prediction is to be removed. None: not known yet, or never."""
        if prediction.completed_at is None:
            return None
        # as `of`, for most without a call: this runs for each prediction that is shown
        key_id, model = prediction.key_id, prediction.model
        if key_id in self._of_key or model in self._of_model:
            period = self.of(prediction.source, model, key_id)
        else:
            period = self._of_source[prediction.source]
        return None if period is None else prediction.completed_at + period

    @property
    def shortest(self) -> timedelta | None:
        """The shortest of all configured periods, which decides how often to check."""
        known = [*self._of_source.values(), *self._of_key.values(), *self._of_model.values()]
        return min((period for period in known if period is not None), default=None)


def _period(text: str) -> timedelta | None:
    seconds = parse_period(text)
    return None if seconds is None else timedelta(seconds=seconds)

"""Drops the progress of an adopted run that is recorded already: the run is reported again from its beginning."""

from halley.predictions.submits import Recorded


class ReplayFilter:
    """Counts down the recorded items as they are reported again."""

    def __init__(self, recorded: Recorded) -> None:
        self._log_chars = recorded.log_chars
        self._outputs = recorded.outputs
        self._metrics = recorded.metrics

    def new_text(self, text: str) -> str:
        """The part of the log text that is not recorded yet."""
        known = min(len(text), self._log_chars)
        self._log_chars -= known
        return text[known:]

    def is_known_output(self) -> bool:
        """Whether the next item of output is recorded already."""
        self._outputs -= 1
        return self._outputs >= 0

    def is_known_metric(self) -> bool:
        """Whether the next metric is recorded already."""
        self._metrics -= 1
        return self._metrics >= 0

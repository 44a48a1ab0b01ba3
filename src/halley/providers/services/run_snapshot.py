"""The state of a run as one answer of its service shows it, with our names."""

from typing import Any, Final, Literal

import msgspec

from halley.providers.services.answers import Body, plain

State = Literal["open", "succeeded", "failed", "canceled"]

_ENDS: Final[dict[str, State]] = {
    "succeeded": "succeeded",
    "successful": "succeeded",  # in one example of the documentation (contract section 8.1)
    "failed": "failed",
    "canceled": "canceled",
    "cancelled": "canceled",
    "aborted": "canceled",
}
_CONTINUES: Final = frozenset({"starting", "processing", "queued"})  # others that are no end continue, too
_OWN_TIMES: Final = frozenset({"predict_time", "total_time"})  # Halley measures these itself


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer shows. `state` is `open` for every status that is not a known end."""

    state: State
    output: Any = None
    logs: str = ""
    error: str | None = None
    metrics: dict[str, Any] = {}
    predict_time: float | None = None  # in seconds
    is_removed: bool = False  # its data was removed there
    stream: str | None = None  # the URL of its event stream
    is_large: bool = False  # going through its output takes long
    unknown: str | None = None  # the status, if Replicate's API has no such one

    @property
    def is_late(self) -> bool:
        """Whether it has succeeded, and its output may still appear."""
        return self.state == "succeeded" and self.output is None and not self.is_removed


def read_run(body: Body | None, handle: str, *, is_large: bool) -> RunSnapshot | None:
    """The state in an answer; None if the answer is not a prediction, or another one than `handle`. `is_large`: see
    `answers.is_large`.
    """
    if body is None or not isinstance(word := body.get("status"), str) or not word:
        return None
    if body.get("id", handle) != handle:
        return None
    metrics = body.get("metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    logs = body.get("logs")
    lower = word.strip().lower()
    return RunSnapshot(
        state=_ENDS.get(lower, "open"),
        unknown=None if lower in _ENDS or lower in _CONTINUES else plain(word),
        output=body.get("output"),
        logs=logs if isinstance(logs, str) else "",
        error=_error(body.get("error")),
        metrics={name: value for name, value in metrics.items() if name not in _OWN_TIMES and value is not None},
        predict_time=_seconds(metrics.get("predict_time")),
        is_removed=body.get("data_removed") is True,
        stream=_stream(body.get("urls")),
        is_large=is_large,
    )


def _error(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, dict) and isinstance(message := value.get("message"), str):
        return message
    return plain(msgspec.json.encode(value).decode())


def _stream(urls: Any) -> str | None:
    found = urls.get("stream") if isinstance(urls, dict) else None
    return found if isinstance(found, str) and found else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 else None

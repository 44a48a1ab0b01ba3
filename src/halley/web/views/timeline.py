"""What happened to a prediction, and how long each part took."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from halley.web.views.durations import in_words, seconds_between
from halley.web.views.run import ShownRun
from halley.web.views.texts import cut, decode_small, first_bytes

_DETAIL: Final = 400  # characters of one line
_SIMPLE: Final = {
    "cancel_requested": "Cancel requested",
    "data_removed": "Data removed",
}
_ENDS: Final = {
    "succeeded": "Succeeded",
    "failed": "Failed",
    "canceled": "Canceled",
    "aborted": "Aborted before it ran",
}


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the API's log of a prediction."""

    seq: int
    event: str
    attempt: int
    at: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class LoggedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """A page of that log."""

    results: list[LoggedEvent]
    next: str | None = None


read_event_page: Final = msgspec.json.Decoder(LoggedEvents).decode


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a prediction's life. One that `is_open` has not ended, and has no duration yet."""

    name: str
    began_at: str
    seconds: float | None
    is_open: bool = False

    @property
    def duration(self) -> str:
        return in_words(self.seconds)


class TimelineStep(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the timeline; `detail` is text of unknown origin."""

    seq: int
    kind: str
    title: str
    detail: str
    attempt: int
    at: str
    offset: str  # since creation


class TimelineAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One time that it began to run. `upstream_id` is its id at a service elsewhere."""

    number: int
    started_at: str
    provider: str | None = None
    upstream_id: str | None = None
    ended_at: str | None = None
    end: str = ""  # in words; "" while it runs


def phases(run: ShownRun) -> list[Phase]:
    """Waiting and running, as far as it has come."""
    until = run.started_at or run.completed_at
    waited = Phase(
        name="waited",
        began_at=run.created_at,
        seconds=seconds_between(run.created_at, until),
        is_open=until is None and not run.has_ended,
    )
    if run.started_at is None:
        return [waited]
    seconds = seconds_between(run.started_at, run.completed_at)
    return [waited, Phase(name="ran", began_at=run.started_at, seconds=seconds, is_open=not run.has_ended)]


def steps(created_at: str, events: Iterable[LoggedEvent]) -> list[TimelineStep]:
    """The events in words."""
    return [_step(created_at, event) for event in events]


def attempts(run: ShownRun, events: Iterable[LoggedEvent]) -> list[TimelineAttempt]:
    """The attempts, oldest first. An attempt that another one follows was lost."""
    found: list[TimelineAttempt] = []
    for event in events:
        data = _members(event)
        status = data.get("status")
        if event.event == "status" and status == "processing":
            if found:
                found[-1] = msgspec.structs.replace(found[-1], ended_at=event.at, end="lost")
            found.append(
                TimelineAttempt(
                    number=event.attempt,
                    started_at=event.at,
                    provider=_text_or_none(data.get("provider")),
                    upstream_id=_text_or_none(data.get("upstream_id")),
                )
            )
    if found and run.has_ended:
        found[-1] = msgspec.structs.replace(found[-1], ended_at=run.completed_at, end=run.status)
    return found


def _step(created_at: str, event: LoggedEvent) -> TimelineStep:
    data = _members(event) if event.event != "output" else {}
    title, detail = _in_words(event, data)
    passed = seconds_between(created_at, event.at)
    return TimelineStep(
        seq=event.seq,
        kind=event.event,
        title=title,
        detail=cut(detail, _DETAIL),
        attempt=event.attempt,
        at=event.at,
        offset=f"+{in_words(passed)}" if passed is not None else "",
    )


def _in_words(event: LoggedEvent, data: dict[str, Any]) -> tuple[str, str]:
    match event.event:
        case "status":
            return _status_in_words(data)
        case "logs":
            return "Log", str(data.get("text", ""))
        case "output":
            return "Output", _output(event)
        case "progress":
            return "Progress", f"{_percent(data.get('fraction'))} ({data.get('current')} of {data.get('total')})"
        case "metric":
            return "Metric", f"{data.get('name')} {_sign(data.get('mode'))} {data.get('value')}"
        case "attempt_lost":
            return "Attempt lost", str(data.get("text", ""))
        case "output_not_kept":
            return "Output not kept", str(data.get("error", ""))
        case "repeated":
            return "Answered a repeated create", f"recognized by: {data.get('how')}"
        case "linked":
            other = data.get("continued_by") or data.get("continues")
            return ("Continued by" if "continued_by" in data else "Continues"), f"{other} ({data.get('how')})"
    return _SIMPLE.get(event.event, event.event), "" if event.event in _SIMPLE else _raw(event)


def _status_in_words(data: dict[str, Any]) -> tuple[str, str]:
    status = str(data.get("status"))
    if status == "starting":
        return "Created", ""
    if status == "processing":
        if "provider" not in data:
            return "Started", ""
        return "Started", f"at {data.get('provider')} as {data.get('upstream_id')}"
    said = [str(data[name]) for name in ("termination_reason", "error") if data.get(name)]
    return _ENDS.get(status, status), ": ".join(said)


def _members(event: LoggedEvent) -> dict[str, Any]:
    value = msgspec.json.decode(event.data)
    return value if isinstance(value, dict) else {}


def _raw(event: LoggedEvent) -> str:
    # an item may have megabytes, and only the beginning is shown
    return first_bytes(event.data, 4 * _DETAIL).decode("utf-8", "ignore")


def _output(event: LoggedEvent) -> str:
    members = decode_small(event.data)
    if not isinstance(members, dict):
        return _raw(event)
    value = members.get("value")
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _percent(fraction: object) -> str:
    return f"{fraction:.0%}" if isinstance(fraction, (int, float)) else "?"


def _sign(mode: object) -> str:
    return {"incr": "+", "append": "and"}.get(str(mode), "=")


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None

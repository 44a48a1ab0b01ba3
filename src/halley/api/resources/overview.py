"""What is said of many predictions: their summary, the groups of their errors, their tags. All are extensions."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.present import encode
from halley.api.presentation.problems import invalid
from halley.api.presentation.statuses import OFFICIAL
from halley.api.presentation.wire.overview import ErrorGroupBody, ErrorReportBody, SummaryBody, TagsBody, TimesBody
from halley.api.resources.predictions import path_id
from halley.clock import rfc3339
from halley.predictions.error_groups import ErrorGroup, intervals
from halley.predictions.filters import read_filter
from halley.predictions.instants import read_instant
from halley.predictions.overview import TimeSpread
from halley.settings import parse_seconds

_SINCE: Final = timedelta(days=1)
_OLDEST: Final = datetime(1970, 1, 1, tzinfo=UTC)  # no prediction is older


async def summary(call: Call, parts: ApiContext) -> Response:
    """The queue and the newest predictions, perhaps of one model."""
    wanted = read_filter({"model": call.query().get("model", "")})
    found = await parts.overview.summary(call.account_id, wanted.model)
    statuses: dict[str, int] = {}
    for status, count in found.newest.statuses.items():
        shown = status if call.variant.expose_aborted else OFFICIAL[status]
        statuses[shown] = statuses.get(shown, 0) + count
    body = SummaryBody(
        waiting=found.load.waiting,
        running=found.load.running,
        is_more=found.load.is_more,
        newest=found.newest.count,
        statuses=statuses,
        wait_seconds=_times(found.newest.wait),
        run_seconds=_times(found.newest.run),
    )
    return json_response(encode(body))


async def errors(call: Call, parts: ApiContext) -> Response:
    """Failed predictions in groups; the filters are those of lists."""
    query = call.query()
    since = _since(query, parts.clock.now())
    wanted = read_filter({name: text for name, text in query.items() if name != "created_after"}, strict=False)
    report = await parts.overview.errors(call.account_id, wanted, since)
    starts_at, length, _ = intervals(report.since, report.until)
    body = ErrorReportBody(
        since=rfc3339(report.since),
        until=rfc3339(report.until),
        starts_at=rfc3339(starts_at),
        interval_seconds=length,
        is_complete=report.is_complete,
        looked_at=report.looked_at,
        left_out=report.left_out,
        results=[_group(one) for one in report.groups],
    )
    return json_response(encode(body))


async def tags(call: Call, parts: ApiContext) -> Response:
    """The tags of one prediction."""
    row = await parts.predictions.row(path_id(call.params[0], "prediction"), call.account_id)
    found = await parts.overview.tags_of([row.id])
    return json_response(encode(TagsBody(tags=list(found.get(row.id, ())))))


def _since(query: Mapping[str, str], now: datetime) -> datetime:
    """A time, or how long ago; a day without it.

    Raises:
        InputInvalid: it is neither.
    """
    text = query.get("since", "").strip()
    if not text:
        return now - _SINCE
    try:
        return max(now - timedelta(seconds=parse_seconds(text)), _OLDEST)
    except (ValueError, OverflowError):
        pass
    try:
        since = read_instant(text)
    except (ValueError, OverflowError):
        since = None
    if since is None or since > now:
        raise invalid("format", "since", "must be in the past: a time such as 2026-01-31T12:00:00Z, or 24h")
    return max(since, _OLDEST)


def _times(times: TimeSpread | None) -> TimesBody | None:
    return None if times is None else TimesBody(count=times.count, p50=round(times.p50, 6), p95=round(times.p95, 6))


def _group(one: ErrorGroup) -> ErrorGroupBody:
    return ErrorGroupBody(
        group=one.group,
        model=one.model,
        error=one.error,
        count=one.count,
        first_at=rfc3339(one.first_at),
        last_at=rfc3339(one.last_at),
        example=one.example_id,
        counts=list(one.counts),
    )

"""What is said of many predictions: an extension."""

import msgspec

from halley.api.presentation.wire.values import Time


class TagsBody(msgspec.Struct, kw_only=True):
    """The tags of a prediction, in the order in which they were given."""

    tags: list[str]


class TimesBody(msgspec.Struct, kw_only=True):
    """Seconds: half of the predictions took at most `p50`, 95 in 100 at most `p95`. `count`: of how many."""

    count: int
    p50: float
    p95: float


class SummaryBody(msgspec.Struct, kw_only=True):
    """The queue now (`is_more`: there are more than could be counted), and of the `newest` predictions, 1,000 at most,
    how many have each status, how long they waited, and how long those that succeeded ran; null without any.
    """

    waiting: int
    running: int
    is_more: bool
    newest: int
    statuses: dict[str, int]
    wait_seconds: TimesBody | None
    run_seconds: TimesBody | None


class ErrorGroupBody(msgspec.Struct, kw_only=True):
    """Similar errors of a model: the newest text (2,000 characters at most) and its prediction. `counts` has a number
    for each interval, the oldest first.
    """

    group: str
    model: str
    error: str
    count: int
    first_at: Time
    last_at: Time
    example: str
    counts: list[int]


class ErrorReportBody(msgspec.Struct, kw_only=True):
    """Failed predictions that were created from `since` to `until`, in groups, the largest first.

    If `is_complete` is false, there were more than could be looked at, and `since` is when the oldest of those was
    created. `looked_at` counts all failed or aborted ones of this time, also those that the filters leave out.
    `left_out` failures are in groups that are not listed. The first interval begins at `starts_at`.
    """

    since: Time
    until: Time
    starts_at: Time
    interval_seconds: int
    is_complete: bool
    looked_at: int
    left_out: int
    results: list[ErrorGroupBody]

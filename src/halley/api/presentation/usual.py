"""The JSON of usual predictions, joined from prepared pieces: to encode a `PredictionBody` takes twice as long.

Nearly all predictions have ended, or wait, and have nothing but the members that every prediction has. For all others
the presenter makes the body. A test holds the bytes of both ways to each other.
"""

from collections.abc import Callable
from typing import Final, assert_never

import msgspec

from halley.api.http.asgi import Variant
from halley.api.http.capabilities import page_and_stream
from halley.assets.links import LinkSigner
from halley.predictions.records import Prediction
from halley.predictions.status import Status

_encode: Final = msgspec.json.Encoder().encode
_KEPT: Final = 256


class _Urls:
    """What the links of all predictions have in common for one variant, as JSON."""

    __slots__ = ("cancel", "get", "stream", "stream_of_files", "variant", "web")

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        predictions = f"{variant.base}/predictions/"
        self.get = b',"urls":{"get":"' + _inside(predictions)
        self.cancel = b'","cancel":"' + _inside(predictions)
        self.web = b'/cancel","web":"' + _inside(f"{variant.origin}/p/")
        self.stream = b'","stream":"' + _inside(f"{variant.origin}{variant.family}/v1/streams/")
        self.stream_of_files = b'","stream":"' + _inside(f"{variant.origin}/v1/files/stream-")


class UsualPredictions:
    """Makes the JSON of a prediction, if it is a usual one."""

    def __init__(self, *, links: LinkSigner, gives_files: Callable[[str], bool]) -> None:
        """`gives_files`: whether the output of this version is files."""
        self._links = links
        self._gives_files = gives_files
        self._urls: dict[int, _Urls] = {}

    def encoded(self, row: Prediction, variant: Variant, *, with_logs: bool) -> bytes | None:
        """The JSON; None if it is not usual. One that waits must have no `starting_reason`."""
        if not _is_usual(row) or variant.own_key is not None:
            return None
        times = _times(row, variant)
        if times is None:
            return None
        urls = self._urls.get(variant.number)
        if urls is None or urls.variant is not variant:
            urls = self._keep(variant)
        name = row.id.encode()
        page_token, stream_mac = page_and_stream(self._links, name)
        logs = (b',"logs":', _encode(row.logs)) if with_logs else ()
        return b"".join(
            (
                b'{"id":"',
                name,
                b'","model":',
                _encode(row.model),
                b',"version":',
                _encode(row.version),
                b',"input":',
                row.input,
                *logs,
                b',"output":',
                row.output or b"null",
                b',"data_removed":false,"error":',
                b"null" if row.error is None else _encode(row.error),
                b',"source":',
                _encode(row.source),
                *times,
                urls.get,
                name,
                urls.cancel,
                name,
                urls.web,
                name,
                b"?t=",
                page_token,
                urls.stream_of_files if self._gives_files(row.version) else urls.stream,
                name,
                b"-",
                stream_mac,
                b'"}}',
            )
        )

    def _keep(self, variant: Variant) -> _Urls:
        if len(self._urls) >= _KEPT:
            self._urls.clear()
        urls = self._urls[variant.number] = _Urls(variant)
        return urls


def _is_usual(row: Prediction) -> bool:
    """Whether it has its input, no files, and no member that only some predictions have."""
    return not (
        row.files
        or row.data_removed_at is not None
        or row.webhook is not None
        or row.webhook_events_filter is not None
        or row.deployment is not None
        or row.deadline_at is not None
        or row.termination_reason is not None
        or row.repeated_creates
        or not row.input
    )


def _times(row: Prediction, variant: Variant) -> tuple[bytes, ...] | None:
    """The members from the status to the metrics; None if it has neither ended nor waits, or not as usual."""
    match row.status:
        case Status.SUCCEEDED | Status.FAILED:
            return _ended_times(row)
        case Status.STARTING:
            return _waiting_times(row, variant)
        case Status.PROCESSING | Status.CANCELED | Status.ABORTED:
            return None
        case other:
            assert_never(other)


def _ended_times(row: Prediction) -> tuple[bytes, ...] | None:
    started_at, completed_at = row.started_at, row.completed_at
    if started_at is None or completed_at is None:
        return None
    if not (row.created_at.microsecond and started_at.microsecond and completed_at.microsecond):
        return None  # the encoder leaves out six zeros, which clients get (`rfc3339`)
    return (
        b',"status":',
        _encode(row.status),
        b',"created_at":',
        _encode(row.created_at),
        b',"started_at":',
        _encode(started_at),
        b',"completed_at":',
        _encode(completed_at),
        b',"metrics":',
        _encode(dict(row.metrics)),
    )


def _waiting_times(row: Prediction, variant: Variant) -> tuple[bytes, ...] | None:
    if row.started_at is not None or row.completed_at is not None or row.metrics or variant.family:
        return None
    return (b',"status":"starting","created_at":', _encode(row.created_at)) if row.created_at.microsecond else None


def _inside(text: str) -> bytes:
    """The text as it stands inside of a JSON string."""
    return _encode(text)[1:-1]

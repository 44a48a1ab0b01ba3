"""The JSON of usual predictions, joined from prepared pieces: to encode a `PredictionBody` takes twice as long.

Nearly all predictions have ended, or wait, and have nothing but the members that every prediction has. For all others
the presenter makes the body. A test holds the bytes of both ways to each other.
"""

from collections.abc import Callable
from typing import Final, Literal, assert_never

import msgspec

from halley.api.http.asgi import Variant
from halley.api.http.capabilities import page_and_stream
from halley.assets.links import LinkSigner
from halley.predictions.records import Prediction
from halley.predictions.status import Source, Status

_encode: Final = msgspec.json.Encoder().encode
_KEPT: Final = 256


class _Frame:
    """What the JSON of all predictions of a version has in common, for one variant."""

    __slots__ = ("cancel", "get", "start", "stream", "stream_of_files", "variant", "web")

    def __init__(self, model: str, version: str, variant: Variant) -> None:
        self.variant = variant
        self.start = b'","model":%b,"version":%b,"input":' % (_encode(model), _encode(version))
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
        self._frames: dict[tuple[int, str, str], _Frame] = {}

    def encoded(self, row: Prediction, variant: Variant, *, with_logs: bool) -> bytes | None:
        """The JSON; None if it is not usual. One that waits must have no `starting_reason`."""
        times = _times(row, variant)
        if times is None or variant.own_key is not None or not _is_usual(row):
            return None
        frame = self._frames.get((variant.number, row.model, row.version))
        if frame is None or frame.variant is not variant:
            frame = self._keep(row, variant)
        name = row.id.encode()
        page_token, stream_mac = page_and_stream(self._links, name)
        logs = (b',"logs":', _encode(row.logs)) if with_logs else ()
        return b"".join(
            (
                b'{"id":"',
                name,
                frame.start,
                row.input,
                *logs,
                b',"output":',
                row.output or b"null",
                b',"data_removed":false,"error":',
                b"null" if row.error is None else _encode(row.error),
                _SOURCES[row.source],
                *times,
                frame.get,
                name,
                frame.cancel,
                name,
                frame.web,
                name,
                b"?t=",
                page_token,
                frame.stream_of_files if self._gives_files(row.version) else frame.stream,
                name,
                b"-",
                stream_mac,
                b'"}}',
            )
        )

    def _keep(self, row: Prediction, variant: Variant) -> _Frame:
        if len(self._frames) >= _KEPT:
            self._frames.clear()
        frame = self._frames[variant.number, row.model, row.version] = _Frame(row.model, row.version, variant)
        return frame


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
    created_at, started_at, completed_at = row.created_at, row.started_at, row.completed_at
    place, status = _STATUSES[row.status]
    if not created_at.microsecond:
        return None  # the encoder leaves out six zeros, which clients get (`rfc3339`)
    if place == "waits" and started_at is None and completed_at is None and not (row.metrics or variant.family):
        return status, _encode(created_at)
    if place != "ended" or started_at is None or completed_at is None:
        return None
    if not (started_at.microsecond and completed_at.microsecond):
        return None
    return (
        status,
        _encode(created_at),
        b',"started_at":',
        _encode(started_at),
        b',"completed_at":',
        _encode(completed_at),
        b',"metrics":',
        _encode(dict(row.metrics)),
    )


def _place(status: Status) -> Literal["waits", "ended", "other"]:
    match status:
        case Status.SUCCEEDED | Status.FAILED:
            return "ended"
        case Status.STARTING:
            return "waits"
        case Status.PROCESSING | Status.CANCELED | Status.ABORTED:
            return "other"
        case other:
            assert_never(other)


def _inside(text: str) -> bytes:
    """The text as it stands inside of a JSON string."""
    return _encode(text)[1:-1]


_SOURCES: Final = {source: b',"source":' + _encode(source) for source in Source}
_STATUSES: Final = {status: (_place(status), b',"status":' + _encode(status) + b',"created_at":') for status in Status}

"""The prediction record and the items of its log. Frozen values; JSON that is only passed on stays bytes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from halley.predictions.status import TERMINAL, EventKind, Kind, Source, Status, SubmitState

_PLACE: Final = msgspec.Raw(b"0")


class OutputFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an output, stored as a blob.

    `ref` is the string that stands for it inside `output` (`asset:{prediction}/{index}/{name}`). A string is a file
    only if this prediction's own list contains its ref: a model that prints another prediction's ref gets text, not a
    link.
    """

    ref: str
    index: int
    name: str
    sha256: str
    size_bytes: int
    content_type: str


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one version on one input. The row behind every answer."""

    id: str
    account_id: str
    key_id: str | None = None
    kind: Kind = Kind.PREDICTION
    status: Status = Status.STARTING
    revision: int = 1  # grows with every change: the cache key and ETag
    model: str  # owner/name
    version: str  # 64 hex
    deployment: str | None = None
    input: bytes  # JSON object as sent, secrets redacted
    output: bytes | None = (
        None  # JSON with refs instead of file links; set once terminal (see progress.fold before that)
    )
    files: tuple[OutputFile, ...] = ()
    logs: str = ""  # set once terminal
    error: str | None = None
    metrics: Mapping[str, object] = {}
    source: Source = Source.API
    priority: int = 0
    provider: str = "local"
    handle: str | None = None
    submit_state: SubmitState | None = None  # of a provider that continues without us; `handle` likewise
    attempts: int = 0
    fence: int = 0
    created_with_wait: bool = False
    cancel_abandoned: bool = False  # canceled when the last waiting client disconnects without an answer
    webhook: str | None = None
    webhook_events_filter: tuple[str, ...] | None = None
    termination_reason: str | None = None  # e.g. deadline_before_start (contract D3)
    cost_micros: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    deadline_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    data_removed_at: datetime | None = None
    repeated_creates: int = 0  # repeated creates without an idempotency key that were answered with this prediction

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def has_webhook(self) -> bool:
        """Whether a message is to be sent about it; an empty filter asks for none."""
        return self.webhook is not None and self.webhook_events_filter != ()


def outline_of(prediction: Prediction | None) -> Prediction | None:
    """The prediction without values of megabytes, for code that keeps it for long."""
    if prediction is None:
        return None
    return msgspec.structs.replace(prediction, input=b"{}", output=None, logs="")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded fact. `seq` counts from 1 within its prediction without gaps; `offset` is ordered by commit."""

    prediction_id: str
    seq: int
    attempt: int
    kind: EventKind
    at: datetime
    data: bytes = b"null"
    offset: int = 0


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A fact before the store has numbered it."""

    kind: EventKind
    at: datetime
    data: bytes = b"null"


class StartedAt(msgspec.Struct, frozen=True, kw_only=True):
    """The data of STARTED for a run elsewhere: the provider and its id of the run. Runs on this machine have none."""

    provider: str
    upstream_id: str


class OutputItem(msgspec.Struct, frozen=True, kw_only=True):
    """The data of OUTPUT_ADDED and OUTPUT_SET: a JSON value, and the files of its refs. `passed`: it has links of a
    service elsewhere, whose files are not stored here.
    """

    value: msgspec.Raw
    files: tuple[OutputFile, ...] = ()
    passed: bool | msgspec.UnsetType = msgspec.UNSET


class NotKept(msgspec.Struct, frozen=True, kw_only=True):
    """The data of OUTPUT_NOT_KEPT: links of a service to files of the output, and why they could not be stored here."""

    urls: tuple[str, ...]
    error: str


def encode_output(value: bytes | msgspec.Raw, files: tuple[OutputFile, ...] = (), *, passed: bool = False) -> bytes:
    """The JSON of an OutputItem. The value may be large: it is copied once, and an encoder would do so twice."""
    if not files:
        return b"".join((b'{"value":', value, b',"files":[],"passed":true}' if passed else b',"files":[]}'))
    item = OutputItem(value=_PLACE, files=files, passed=passed or msgspec.UNSET)
    before, member, after = msgspec.json.encode(item).partition(b'"value":0')
    return b"".join((before, member[:-1], value, after))


class MetricItem(msgspec.Struct, frozen=True, kw_only=True):
    """The data of METRIC_RECORDED. Source: notes on Cog's `record_metric`."""

    name: str
    value: object
    mode: Literal["replace", "incr", "append"] = "replace"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The data of PROGRESSED: the position of a progress bar. `fraction` from 0 to 1, as the bar shows it."""

    fraction: float
    current: int
    total: int


class Finish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The data of FINISHED: how a prediction ended."""

    status: Status
    error: str | None = None
    reason: str | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The caller: an account through one of its keys."""

    account_id: str
    username: str
    key_id: str | None = None
    scopes: frozenset[str] = frozenset()

"""The shapes that go over the wire, member by member. Source: contract sections 7, 9, 10 and 13.

UNSET members are left out. What only passes through stays bytes (`msgspec.Raw`).
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from halley.errors import InvalidField
from halley.keys import records as key_records
from halley.predictions.repeats import How

Time = str  # RFC 3339, UTC, six digits and Z
NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
Url = Annotated[str, msgspec.Meta(pattern="^https?://", max_length=2048)]


class Urls(msgspec.Struct, kw_only=True):
    """Always all four, never null: two clients require them as strings (contract 0.4)."""

    get: str
    cancel: str
    web: str
    stream: str


class PredictionBody(msgspec.Struct, kw_only=True):
    """One run of one version on one input."""

    id: str
    model: str
    version: str
    input: Raw
    logs: str | UnsetType = UNSET  # left out in lists
    output: Raw
    data_removed: bool
    error: str | None
    source: Literal["api", "web"]
    status: Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
    created_at: Time
    started_at: Time | UnsetType | None = UNSET
    completed_at: Time | UnsetType | None = UNSET
    metrics: dict[str, Any] | UnsetType = UNSET
    urls: Urls
    webhook: str | UnsetType = UNSET
    webhook_events_filter: list[str] | UnsetType = UNSET
    deployment: str | UnsetType = UNSET
    deadline: Time | UnsetType = UNSET
    termination_reason: str | UnsetType = UNSET
    starting_reason: str | UnsetType = UNSET  # an extension: what it waits for, if it is more than its turn
    repeated_creates: int | UnsetType = UNSET


class VersionBody(msgspec.Struct, kw_only=True):
    """A fixed build of a model; `openapi_schema` is a whole OpenAPI document."""

    id: str
    created_at: Time
    cog_version: str
    openapi_schema: Raw


class ModelBody(msgspec.Struct, kw_only=True):
    """A model, with its newest version. `state` and `reason` are ours: whether it can run here, and why not."""

    url: str
    owner: str
    name: str
    description: str
    visibility: Literal["public", "private"]
    is_official: bool
    github_url: str | None
    paper_url: str | None
    license_url: str | None
    run_count: int
    cover_image_url: str | None
    default_example: Raw
    latest_version: VersionBody | None
    state: Literal["ready", "preparing", "broken", "not_served"]
    reason: str | None


class FileUrls(msgspec.Struct, kw_only=True):
    """One client reads `get` and puts it into inputs. `download` is ours: a link to the bytes that needs no key."""

    get: str
    download: str


class Checksums(msgspec.Struct, kw_only=True):
    """Of the file's bytes."""

    sha256: str


class FileBody(msgspec.Struct, kw_only=True):
    """An uploaded file; all members are always there (contract 13.2)."""

    id: str
    name: str
    content_type: str
    size: int
    etag: str
    checksums: Checksums
    metadata: dict[str, str]
    created_at: Time
    expires_at: Time
    urls: FileUrls


class AccountBody(msgspec.Struct, kw_only=True):
    """Whose key it is."""

    type: Literal["user", "organization"]
    username: str
    name: str


class Hardware(msgspec.Struct, kw_only=True):
    """A kind of machine."""

    name: str
    sku: str


class ReplicaBody(msgspec.Struct, kw_only=True):
    """A model process of this server; or a model that has none, with what it waits for. A broken one has no version."""

    model: str
    version: str
    state: Literal[
        "unloaded", "building", "loading", "ready", "busy", "stopping", "waiting_for_room", "waiting_to_retry", "broken"
    ]
    reason: str | None
    pinned: bool
    pid: int | None
    memory_bytes: int
    peak_memory_bytes: int
    device: str | None
    slots: int
    busy_slots: int
    uptime_seconds: float | None
    isolation: Literal["isolated", "plain", "off"] | None
    isolation_reason: str | None
    last_exit_reason: str | None
    last_exit: str | None


class ReplicaPage(msgspec.Struct, kw_only=True):
    """All of them, by model."""

    next: str | None
    previous: str | None
    results: list[ReplicaBody]


class KeyOptionsBody(key_records.KeyOptions, frozen=True, kw_only=True, omit_defaults=False):
    """How requests with a key are met. In a request, what is left out stays as it is."""


class LogLine(msgspec.Struct, kw_only=True):
    """A line that a model's process printed outside of any prediction. Numbers are those of the model's lines."""

    number: int
    ended_at: Time
    version: str
    pid: int
    text: str


class ClearedSetup(msgspec.Struct, kw_only=True):
    """What setups of a model had left; null if there was nothing."""

    model: str
    cleared_bytes: int | None


class LogPage(msgspec.Struct, kw_only=True):
    """The last lines, the oldest first."""

    next: str | None
    previous: str | None
    results: list[LogLine]


class KeyBody(msgspec.Struct, kw_only=True):
    """An API key, without its secret; `hint` is how it begins."""

    id: str
    username: str
    name: str
    hint: str
    scopes: list[str]
    options: KeyOptionsBody
    created_at: Time
    revoked_at: Time | None


class NewKey(KeyBody, kw_only=True):
    """A key just made. `token` is shown this once."""

    token: str


class PredictionPage(msgspec.Struct, kw_only=True):
    """A page of predictions; `next` and `previous` are absolute URLs or null (contract 0.9)."""

    next: str | None
    previous: str | None
    results: list[PredictionBody]


EventName = Literal[
    "status", "output", "logs", "progress", "metric", "cancel_requested", "attempt_lost", "data_removed", "repeated"
]


class EventBody(msgspec.Struct, kw_only=True):
    """A recorded fact about a prediction. What `data` holds depends on `event`: the manual has the table."""

    seq: int
    event: EventName
    attempt: int
    at: Time
    data: Any


class StatusData(msgspec.Struct, kw_only=True):
    """The data of `status`."""

    status: Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
    error: str | UnsetType = UNSET
    termination_reason: str | UnsetType = UNSET


class OutputData(msgspec.Struct, kw_only=True):
    """The data of `output`: one more item of a list (`is_item`), or the whole output."""

    value: Any
    is_item: bool


class TextData(msgspec.Struct, kw_only=True):
    """The data of `logs` and `attempt_lost`; the text is JSON already."""

    text: Raw


class RepeatedData(msgspec.Struct, kw_only=True):
    """The data of `repeated`."""

    how: How


class EventPage(msgspec.Struct, kw_only=True):
    """A page of events, oldest first; there is no way back."""

    next: str | None
    previous: str | None
    results: list[EventBody]


class ModelPage(msgspec.Struct, kw_only=True):
    """A page of models."""

    next: str | None
    previous: str | None
    results: list[ModelBody]


class CollectionBody(msgspec.Struct, kw_only=True):
    """Models that the operator has put together. One client requires slug, name and description as text."""

    name: str
    slug: str
    description: str
    full_description: str | None


class FullCollection(CollectionBody, kw_only=True):
    """With its models."""

    models: list[Raw]


class CollectionPage(msgspec.Struct, kw_only=True):
    """All collections."""

    next: str | None
    previous: str | None
    results: list[CollectionBody]


class FoundMetadata(msgspec.Struct, kw_only=True):
    """Why a model was found."""

    generated_description: str
    score: float
    tags: list[str]


class FoundModel(msgspec.Struct, kw_only=True):
    """A model that fits."""

    model: Raw
    metadata: FoundMetadata


class FoundPage(msgspec.Struct, kw_only=True):
    """A page of a manual; none is ever found here."""

    name: str
    href: str


class SearchResult(msgspec.Struct, kw_only=True):
    """What fits some words, best first."""

    query: str
    models: list[FoundModel]
    collections: list[CollectionBody]
    pages: list[FoundPage]


class EmptyPage(msgspec.Struct, kw_only=True):
    """A page of a list of what this server never has."""

    next: str | None
    previous: str | None
    results: list[dict[str, Any]]


class VersionPage(msgspec.Struct, kw_only=True):
    """A page of versions, newest first."""

    next: str | None
    previous: str | None
    results: list[VersionBody]


class FilePage(msgspec.Struct, kw_only=True):
    """A page of files, newest first."""

    next: str | None
    previous: str | None
    results: list[FileBody]


class KeyPage(msgspec.Struct, kw_only=True):
    """All keys, newest first."""

    next: str | None
    previous: str | None
    results: list[KeyBody]


class WebhookSecret(msgspec.Struct, kw_only=True):
    """What messages of the account are signed with: `whsec_` and base64."""

    key: str


class RotateWebhookSecret(msgspec.Struct, kw_only=True):
    """How long the old secret signs beside the new one; a setting says so if this does not."""

    overlap_seconds: Annotated[float, msgspec.Meta(ge=0, le=2_592_000)] | None = None


class NewWebhookSecret(WebhookSecret, kw_only=True):
    """A secret just made. Until `previous_ends_at` messages carry a signature of the one before, too."""

    previous_ends_at: Time


class DeliveryRequest(msgspec.Struct, kw_only=True):
    """What was sent. `body` is there for one delivery at a time, and as long as the message is kept."""

    headers: dict[str, str]
    body_sha256: str
    body_bytes: int
    body: str | UnsetType | None = UNSET


class DeliveryAnswer(msgspec.Struct, kw_only=True):
    """What the receiver answered; `body` is the beginning of it."""

    status: int
    body: str


class DeliveryBody(msgspec.Struct, kw_only=True):
    """One attempt to deliver a webhook message."""

    id: str
    message: str  # the header `webhook-id`: the same for all attempts of a message
    prediction: str
    event: Literal["start", "output", "logs", "completed"]
    attempt: int
    url: str
    state: Literal["sending", "delivered", "failed", "gone", "interrupted"]
    started_at: Time
    latency_seconds: float | None
    request: DeliveryRequest
    response: DeliveryAnswer | None
    error: str | None
    next_attempt_at: Time | None


class DeliveryPage(msgspec.Struct, kw_only=True):
    """A page of deliveries, newest first."""

    next: str | None
    previous: str | None
    results: list[DeliveryBody]


class WebhookMessage(msgspec.Struct, kw_only=True):
    """A message that will be sent again."""

    id: str
    prediction: str
    event: Literal["start", "output", "logs", "completed"]
    url: str
    state: Literal["pending", "delivered", "failed", "gone"]
    next_attempt_at: Time | None


class WebhookCopy(msgspec.Struct, kw_only=True):
    """What a receiver would get: the headers that prove it, and the body to the byte."""

    position: int
    id: str
    prediction: str
    event: Literal["start", "output", "logs", "completed"]
    headers: dict[str, str]
    body: str


class WebhookCopies(msgspec.Struct, kw_only=True):
    """The current messages; continue with `after` and this position."""

    position: int
    results: list[WebhookCopy]


class CreatePrediction(msgspec.Struct, kw_only=True):
    """A wish to run a version. Unknown members are ignored."""

    version: NonEmpty
    input: dict[str, Any] = {}
    context: dict[str, str] | None = None
    webhook: Url | None = None
    webhook_events_filter: list[Literal["start", "output", "logs", "completed"]] | None = None
    webhook_completed: Url | None = None
    stream: bool | None = None


class CreateModelPrediction(msgspec.Struct, kw_only=True):
    """A wish to run the model that the path names."""

    input: dict[str, Any] = {}
    context: dict[str, str] | None = None
    webhook: Url | None = None
    webhook_events_filter: list[Literal["start", "output", "logs", "completed"]] | None = None
    webhook_completed: Url | None = None
    stream: bool | None = None


class CreateKey(msgspec.Struct, kw_only=True):
    """A key for an account, which is made if it is new; for the caller's own if no username is given."""

    username: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9](?:-?[A-Za-z0-9]){0,59}$", max_length=60)] | None = None
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    scopes: Annotated[list[Literal["read", "write", "admin"]], msgspec.Meta(min_length=1)] | None = None  # read, write
    options: KeyOptionsBody | None = None
    prefix: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9]{0,15}_?$")] | None = None  # how it begins; hly


class ChangeKey(msgspec.Struct, kw_only=True):
    """Options to change; null sets one back to its default."""

    options: KeyOptionsBody


class HealthBody(msgspec.Struct, kw_only=True):
    """`reasons` names each part that is not ready, with what is wrong.

    With `?verbose`, `housekeeping` names what could not be tidied up and is tried again; it keeps no work away.
    """

    status: Literal["ok", "ready", "not ready"]
    reasons: dict[str, str] = {}
    checks: dict[str, str] | UnsetType = UNSET  # what was looked at, each "ok" or what is wrong
    housekeeping: dict[str, str] | UnsetType = UNSET


class Counts(msgspec.Struct, kw_only=True):
    """What this server process has counted since it started.

    `replayed_creates` by how the repeats were recognized, `ignored_members` of creates by name.
    """

    since: Time
    replayed_creates: dict[str, int]
    ignored_members: dict[str, int]


class Problem(msgspec.Struct, kw_only=True):
    """A refusal in RFC 9457's form; `detail` is always text."""

    title: str
    detail: str
    status: int
    instance: str | UnsetType = UNSET
    invalid_fields: list[InvalidField] | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET

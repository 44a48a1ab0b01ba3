"""The tables of a job file as they are written: docs/reference/http-job.md describes them."""

from typing import Annotated, Any, Literal

import msgspec

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Encoding = Literal["json", "form", "multipart"]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Positive = Annotated[int, msgspec.Meta(gt=0)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=10_000)]
Status = Annotated[int, msgspec.Meta(ge=200, le=599)]
Word = str | int | bool


class JobTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a job file."""


class PlaceTable(JobTable, frozen=True, kw_only=True):
    """Where a value stands, if a pointer alone does not say it. See `pointers.ValuePlace`."""

    at: str
    json: str | None = None
    each: str | None = None


PlaceForm = str | PlaceTable | list[str | PlaceTable]


class AuthTable(JobTable, frozen=True, kw_only=True):
    """The header that carries the token."""

    header: str = "authorization"
    scheme: str = "Bearer"  # before the token; "" for none


class RequestTable(JobTable, frozen=True, kw_only=True):
    """A request. `body` is JSON with templates; for a form it is one table of fields."""

    path: str
    method: Method = "GET"
    headers: dict[str, str] = {}
    encoding: Encoding = "json"
    body: Any = None


class MatchTable(JobTable, frozen=True, kw_only=True):
    """Recognises an answer: one of `words` stands at a place, or with no words anything does."""

    at: PlaceForm
    words: list[Word] | None = None


class VerdictTable(JobTable, frozen=True, kw_only=True):
    """What an answer to a create means, beside the usual rules."""

    means: Literal["refused", "busy", "unknown"]
    status: list[Status] | None = None
    at: PlaceForm | None = None
    words: list[Word] | None = None


class CreateTable(RequestTable, frozen=True, kw_only=True):
    """The request that begins a run."""

    id: PlaceForm
    method: Method = "POST"
    verdicts: list[VerdictTable] = []


class PollTable(RequestTable, frozen=True, kw_only=True):
    """The request that shows the state of a run, and its intervals. See `services.poll_rules.PollRules`."""

    gone: MatchTable | None = None
    first_seconds: Seconds = 1.0
    changed_seconds: Seconds = 1.0
    longest_seconds: Seconds = 10.0
    gone_seconds: Seconds = 30.0


class AnswerTable(JobTable, frozen=True, kw_only=True):
    """Where things stand in the answer to a poll."""

    status: PlaceForm
    id: PlaceForm | None = None
    progress: PlaceForm | None = None
    progress_full: Rate = 100.0
    output: PlaceForm | None = None
    base64: str | None = None  # the output is the base64 of files of this type
    logs: PlaceForm | None = None
    error: PlaceForm | None = None
    cost: PlaceForm | None = None
    metrics: dict[str, PlaceForm] = {}


class StatusTable(JobTable, frozen=True, kw_only=True):
    """The words of the service for ours."""

    succeeded: list[Word]
    failed: list[Word]
    canceled: list[Word] = []
    running: list[Word] = []


class ContentTable(RequestTable, frozen=True, kw_only=True):
    """The request that returns the bytes of an output, or with `url` an answer in which a link to them stands."""

    url: PlaceForm | None = None


class EqualTable(JobTable, frozen=True, kw_only=True):
    """A value of a listed run, and what it must be equal to."""

    at: PlaceForm
    equals: Any


class FindTable(RequestTable, frozen=True, kw_only=True):
    """The list in which a create without an answer is looked for."""

    items: str
    id: PlaceForm
    match: list[EqualTable]
    created_at: PlaceForm | None = None
    cursor: PlaceForm | None = None
    next_path: str | None = None  # with {cursor}
    next: PlaceForm | None = None  # or a link to the next page
    settle_seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] | None = None


class BalanceTable(RequestTable, frozen=True, kw_only=True):
    """The request that shows how much money or credit is left at the service."""

    at: PlaceForm
    unit: Annotated[str, msgspec.Meta(max_length=20)] | None = None  # such as USD


class LimitTable(JobTable, frozen=True, kw_only=True):
    """What may be sent to the service and read from it."""

    polls_per_second: Rate = 5.0
    polls_at_once: Annotated[int, msgspec.Meta(gt=0, le=100)] = 4
    creates_per_minute: Rate | None = None
    answer_bytes: Annotated[int, msgspec.Meta(gt=0, le=64 * 2**20)] = 8 * 2**20
    content_bytes: Annotated[int, msgspec.Meta(gt=0, le=2**40)] = 2 * 2**30
    content_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0


class InputTable(JobTable, frozen=True, kw_only=True):
    """One member of a model's input, in the short form."""

    type: Literal["string", "integer", "number", "boolean", "file", "object"] = "string"
    list: bool = False
    description: str | None = None
    required: bool = False
    default: Any = None
    choices: tuple[Word | float, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: Positive | None = None
    secret: bool = False


class ModelTable(JobTable, frozen=True, kw_only=True):
    """A model that the service has."""

    output: Literal["file", "files", "text", "texts", "stream", "json"] | None = None
    description: str | None = None
    value: dict[str, Any] = {}
    input: dict[str, InputTable] = {}
    schema: str | None = None  # a file with an OpenAPI document, instead of `input` and `output`


class JobFileTable(JobTable, frozen=True, kw_only=True):
    """A whole file."""

    create: CreateTable
    poll: PollTable
    answer: AnswerTable
    status: StatusTable
    models: dict[str, ModelTable]
    auth: AuthTable = AuthTable()
    cancel: RequestTable | None = None
    content: ContentTable | None = None
    find: FindTable | None = None
    balance: BalanceTable | None = None
    limits: LimitTable = LimitTable()

"""A job file, read and checked: everything that a provider needs to know of its service."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from halley.providers.http_job.pointers import Places, Steps
from halley.providers.http_job.requests import RequestForm
from halley.providers.http_job.schemas import JobSchema
from halley.providers.http_job.tables import AuthTable, LimitTable
from halley.providers.http_job.templates import Values
from halley.providers.services.poll_rules import PollRules

End = Literal["succeeded", "failed", "canceled"]


class JobModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the service. `value` has the constants for its templates."""

    name: str
    description: str | None
    value: Mapping[str, Any]
    schema: JobSchema

    def values(self, prediction_id: str, given: Mapping[str, Any]) -> Values:
        """The values of the names in templates of a create."""
        filled = {**self.schema.defaults, **{name: one for name, one in given.items() if one is not None}}
        return {"input": filled, "value": self.value, "prediction": {"id": prediction_id}}


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Recognizes an answer: the value at one of the places `at` is one of `words`; `words` None: it is any value."""

    at: Places
    words: frozenset[str] | None


class VerdictRule(msgspec.Struct, frozen=True, kw_only=True):
    """The meaning of an answer to a create that has one of `statuses` (None: any) and matches `match` (None: any)."""

    means: Literal["refused", "busy", "unknown"]
    statuses: frozenset[int] | None
    match: Match | None


class AnswerForm(msgspec.Struct, frozen=True, kw_only=True):
    """Where values are in the answer to a poll. `words` maps status words in lower case to ends; None: no end."""

    status: Places
    words: Mapping[str, End | None]
    id: Places = ()
    progress: Places = ()
    progress_full: float = 100.0
    output: Places = ()
    base64: str | None = None
    logs: Places = ()
    error: Places = ()
    metrics: Mapping[str, Places] = {}


class ContentForm(msgspec.Struct, frozen=True, kw_only=True):
    """The request for an output. `takes_output`: it is sent for each value of the output."""

    request: RequestForm
    takes_output: bool
    url: Places = ()


class FindForm(msgspec.Struct, frozen=True, kw_only=True):
    """The list of runs. `is_unique`: each run in it shows our own id, so that no other run can match."""

    request: RequestForm
    following: RequestForm | None  # for the pages after the first
    items: Steps
    id: Places
    match: tuple[tuple[Places, Any], ...]
    is_unique: bool
    created_at: Places
    cursor: Places
    next: Places  # a link to the following page
    settle_seconds: float | None

    @property
    def has_pages(self) -> bool:
        """Whether it has pages, so that it can be read to its end."""
        return self.following is not None or bool(self.next)


class BalanceForm(msgspec.Struct, frozen=True, kw_only=True):
    """The request for the balance at the service, and where the number is in its answer."""

    request: RequestForm
    at: Places
    unit: str | None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `takes_files`: input files are sent as parts of a form, and must be on this machine."""

    models: Mapping[str, JobModel]
    auth: AuthTable
    create: RequestForm
    create_id: Places
    verdicts: tuple[VerdictRule, ...]
    poll: RequestForm
    poll_rules: PollRules
    gone: Match | None
    answer: AnswerForm
    cancel: RequestForm | None
    content: ContentForm | None
    find: FindForm | None
    balance: BalanceForm | None
    limits: LimitTable
    takes_files: bool


def word_of(value: Any) -> str | None:
    """A status word of a service, as text in lower case; None if the value cannot be one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value).strip().lower() or None
    return None

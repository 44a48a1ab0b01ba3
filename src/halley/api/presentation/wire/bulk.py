"""Actions on many predictions: an extension."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from halley.api.presentation.wire.values import ListPage, StatusWord, Time, Url

BulkKindWord = Literal["cancel", "rerun", "delete-data"]


class CreateBulkAction(msgspec.Struct, kw_only=True):
    """What to do with which predictions: those that match `filter`, whose members are those of a list of predictions,
    or the `predictions` with these ids. `limit` takes the newest that match.
    """

    action: BulkKindWord
    filter: dict[str, str] | None = None
    predictions: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1000)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None


class BulkExample(msgspec.Struct, kw_only=True):
    """One of the predictions that match."""

    id: str
    model: str
    status: StatusWord
    created_at: Time
    error: str | None


class BulkPreview(msgspec.Struct, kw_only=True):
    """What an action would be made for: `total` predictions, or more if `is_more`. `filter` as it would be applied; it
    ends at the time of the answer, so that what is created later does not match.
    """

    action: BulkKindWord
    filter: dict[str, str] | None
    description: str
    total: int
    is_more: bool
    examples: list[BulkExample]


class BulkReason(msgspec.Struct, kw_only=True):
    """Why predictions were skipped or failed: how many for the same reason, and one of them."""

    outcome: Literal["skipped", "failed"]
    reason: str | None
    count: int
    example: str


class BulkUrls(msgspec.Struct, kw_only=True):
    get: Url
    stop: Url
    items: Url


class BulkActionBody(msgspec.Struct, kw_only=True):
    """An action on many predictions. `filter` is null if they were named one by one; `description` says in words which
    they are. `status_reason` says why it was
    stopped, or why a running one does not go on at present. `reasons` is in the answer about a single action.
    """

    id: str
    action: BulkKindWord
    filter: dict[str, str] | None
    description: str
    status: Literal["running", "finished", "stopped"]
    status_reason: str | None
    created_at: Time
    ended_at: Time | None
    total: int
    done: int
    skipped: int
    failed: int
    remaining: int
    reasons: list[BulkReason] | UnsetType = UNSET
    urls: BulkUrls


class BulkActionPage(ListPage, kw_only=True):
    """A page of bulk actions, newest first."""

    results: list[BulkActionBody]


class BulkItemBody(msgspec.Struct, kw_only=True):
    """One prediction of an action. `outcome` is null until it has one; `rerun` is the new prediction."""

    prediction: str
    outcome: Literal["done", "skipped", "failed"] | None
    reason: str | None
    rerun: str | None


class BulkItemPage(ListPage, kw_only=True):
    """A page of the predictions of an action, in the order in which they are taken: the oldest first."""

    results: list[BulkItemBody]

"""What many shapes have in common."""

from typing import Annotated, Literal

import msgspec

Time = str  # RFC 3339, UTC, six digits and Z
NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
Url = Annotated[str, msgspec.Meta(pattern="^https?://", max_length=2048)]
StatusWord = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
WebhookEvent = Literal["start", "output", "logs", "completed"]


class ListPage(msgspec.Struct, kw_only=True):
    """A part of a list; `next` and `previous` are absolute URLs or null (contract 0.9)."""

    next: str | None
    previous: str | None

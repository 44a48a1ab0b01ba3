"""Bulk actions in words and numbers."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

MEMBERS: Final = (
    *("status", "model", "key", "provider", "error", "tag", "group"),
    *("created_after", "created_before"),
)
"""The members of a filter, as the API has them."""

VERBS: Final = {"cancel": "Cancel", "rerun": "Run again", "delete-data": "Remove data"}
_QUESTIONS: Final = {
    "cancel": (
        "Cancel {}?",
        "Predictions that wait or run are canceled. Those that have ended by then stay as they are.",
    ),
    "rerun": (
        "Run {} again?",
        "Each becomes a new prediction with the same input, linked to the old one. They wait behind other predictions.",
    ),
    "delete-data": (
        "Remove the data of {}?",
        "Input, output, files and logs are removed. This cannot be undone. Status, times and metrics stay.",
    ),
}
_TONES: Final = {"running": "processing", "finished": "succeeded", "stopped": "canceled"}


class BulkLine(msgspec.Struct, frozen=True, kw_only=True):
    """One action, as the API has it, and what is made of that. `percent` of the predictions have an outcome."""

    id: str
    action: str
    description: str
    status: str
    status_reason: str | None
    created_at: str
    ended_at: str | None
    total: int
    done: int
    skipped: int
    failed: int
    remaining: int
    verb: str = ""
    tone: str = ""
    percent: int = 0


class BulkQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """The question before an action: a title, and what it means."""

    title: str
    text: str
    button: str


class OutcomeReason(msgspec.Struct, frozen=True, kw_only=True):
    """A reason why predictions were skipped or failed, and how many."""

    outcome: str
    reason: str
    count: int
    example: str


def add_up(line: BulkLine) -> BulkLine:
    """The action with its percent, tone and verb."""
    percent = 100 if not line.total else (line.total - line.remaining) * 100 // line.total
    return msgspec.structs.replace(
        line, percent=percent, tone=_TONES.get(line.status, ""), verb=VERBS.get(line.action, line.action)
    )


def question_of(preview: Mapping[str, Any]) -> BulkQuestion:
    """The question for what the preview of the API has counted."""
    title, text = _QUESTIONS[preview["action"]]
    count = preview["total"]
    words = "1 prediction" if count == 1 else f"{count:,} predictions"
    title = title.format(f"the newest {words}" if preview["is_more"] else words)
    return BulkQuestion(title=title, text=text, button=title.removesuffix("?"))


def reasons_of(action: Mapping[str, Any]) -> list[OutcomeReason]:
    """Why predictions were skipped or failed."""
    return [
        OutcomeReason(outcome=one["outcome"], reason=one["reason"] or "", count=one["count"], example=one["example"])
        for one in action.get("reasons", [])
    ]

"""Whether a create began a run, as its answer says; and which ids services may give to runs."""

import re
from enum import Enum, auto
from typing import Final

import msgspec

from halley.providers.services.answers import Body
from halley.providers.services.run_snapshot import RunSnapshot

_HANDLE: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~:-]{1,200}", re.ASCII)


OF_PLACE: Final = frozenset({401, 402, 403, 404, 410})
"""Statuses that refuse the caller or the model, and not the input: another service may accept the same input."""


class SubmitVerdict(Enum):
    """What an answer to a create says."""

    SUBMITTED = auto()
    BUSY = auto()  # nothing was created; it may be tried again
    REFUSED = auto()  # nothing was created, and it would be refused again
    UNKNOWN = auto()


class SubmitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict. `handle` is the id of the run at the service; `text` is a sentence about all other verdicts."""

    verdict: SubmitVerdict
    handle: str = ""
    text: str = ""
    status: int = 0
    run: RunSnapshot | None = None  # as the answer shows it

    @property
    def is_of_place(self) -> bool:
        """Whether another service may accept what this one refused."""
        return self.status in OF_PLACE


def handle_of(body: Body | None) -> str:
    """The id of a prediction in an answer; "" if it has none that can be part of a path."""
    found = None if body is None else body.get("id")
    return found if isinstance(found, str) and is_handle(found) else ""


def is_handle(text: str) -> bool:
    """Whether the text can be the id of a prediction."""
    return _HANDLE.fullmatch(text) is not None

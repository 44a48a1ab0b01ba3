"""Statuses in the form that the official clients know. Source: contract D3."""

from typing import Final, assert_never

import msgspec

from halley.predictions.filters import PredictionFilter
from halley.predictions.status import Status


def _official(status: Status) -> Status:
    match status:
        case Status.ABORTED:
            return Status.CANCELED  # one client raises on `aborted`, the others poll forever
        case Status.STARTING | Status.PROCESSING | Status.SUCCEEDED | Status.FAILED | Status.CANCELED:
            return status
        case _:
            assert_never(status)


OFFICIAL: Final = {status: _official(status) for status in Status}
"""The shown value of each status, unless a setting or a header asks for the real one (`expose_aborted`)."""


def meant_by(wanted: PredictionFilter, *, expose_aborted: bool) -> PredictionFilter:
    """What a caller means who is shown official statuses: what is shown with that status, or really has it."""
    if expose_aborted or not wanted.statuses:
        return wanted
    statuses = wanted.statuses | {status for status in Status if OFFICIAL[status] in wanted.statuses}
    return msgspec.structs.replace(wanted, statuses=statuses)


def shown_to(wanted: PredictionFilter, *, expose_aborted: bool) -> PredictionFilter:
    """The filter as such a caller gave it, without the statuses that `meant_by` added."""
    if expose_aborted:
        return wanted
    given = wanted.statuses
    added = {status for status in given if OFFICIAL[status] is not status and OFFICIAL[status] in given}
    return msgspec.structs.replace(wanted, statuses=wanted.statuses - added)

"""Statuses in the form that the official clients know. Source: contract D3."""

from typing import Final, assert_never

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

"""Decides whether an error before the run is final."""

from typing import Final

from halley.dispatch.ports import Outcome
from halley.errors import Busy, Conflict, HalleyError, InputInvalid, OutcomeUnknown
from halley.predictions.submits import UNKNOWN_ERROR, UNKNOWN_REASON

TRANSIENT: Final = (Busy, Conflict)
"""Capacity may become free, a process may start again, an earlier attempt may end. Other errors would occur again."""


def is_transient(error: HalleyError) -> bool:
    """Whether the same call may succeed later, with nothing changed."""
    return isinstance(error, TRANSIENT)


def is_unknown(outcome: object) -> bool:
    """Whether it may have run, and may be paid for: that says more than that its time was over."""
    return isinstance(outcome, Outcome) and outcome.reason == UNKNOWN_REASON


def unusable_input(error: HalleyError) -> Outcome:
    """The input's files cannot be staged."""
    if isinstance(error, InputInvalid):
        text = "; ".join(f"{fault.field}: {fault.description}" for fault in error.fields)
    else:
        text = str(error)
    return Outcome(status="failed", error=text, reason="input_unusable")


def refused(error: HalleyError) -> Outcome:
    """The provider has refused it, or may have begun it and cannot tell."""
    if isinstance(error, OutcomeUnknown):
        return Outcome(status="failed", error=f"{UNKNOWN_ERROR} {error}", reason=UNKNOWN_REASON)
    return Outcome(status="failed", error=str(error), reason="submit_refused")

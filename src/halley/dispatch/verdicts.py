"""How a prediction ends, from the outcome of its run."""

from datetime import timedelta
from typing import Final, NamedTuple

from halley.dispatch.ports import Outcome
from halley.predictions.status import Fact

_FACTS: Final = {"succeeded": Fact.SUCCEEDED, "failed": Fact.FAILED}


class Verdict(NamedTuple):
    """What is recorded of an end; `predict_time` in seconds, if the provider measured it."""

    fact: Fact
    error: str | None
    reason: str | None = None
    predict_time: float | None = None


def timed_out(limit_seconds: float, *, has_begun: bool) -> Verdict:
    """It took longer than its version allows."""
    what = "The run" if has_begun else "Bringing the files of its input"
    limit = timedelta(seconds=limit_seconds)
    return Verdict(Fact.FAILED, f"{what} took longer than its limit of {limit} (run_timeout).", "run_timeout")


def unrun(fact: Fact, *, has_run: bool) -> Verdict:
    """The attempt never ran. A prediction of which no attempt ran gets a reason and no error."""
    return Verdict(fact, "No slot was free for another attempt (runs.max_queue_seconds)." if has_run else None)


def verdict_of(outcome: Outcome, output_fault: str | None) -> Verdict:
    """`output_fault`: why the output cannot be kept, if so."""
    if output_fault is not None:
        return Verdict(Fact.FAILED, output_fault, "output_unusable", outcome.predict_time)
    if outcome.status == "canceled":
        # no other process ended it (finish would report that): the model stopped by itself
        error = outcome.error or "The model stopped as if it had been canceled."
        return Verdict(Fact.FAILED, error, outcome.reason or "canceled_by_model", outcome.predict_time)
    return Verdict(_FACTS[outcome.status], outcome.error, outcome.reason, outcome.predict_time)

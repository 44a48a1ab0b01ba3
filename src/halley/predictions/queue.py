"""Who may run what: leases, and the queue that gives them out.

`WorkQueue` lives in the same database as `PredictionStore`; `predictions.ports` says what a transaction promises.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from halley.predictions.duties import Duty, DutyStore
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.status import Fact
from halley.predictions.submits import Recorded


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The time-limited right to run a prediction. Every write about the run carries it; an old fence is refused."""

    prediction_id: str
    session_id: str
    fence: int
    attempt: int


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction in the claimer's hands, with the input to run it on (secrets in clear)."""

    lease: Lease
    prediction: Prediction
    work_input: bytes
    context: bytes | None = None
    alone: bool = False  # it must run with nothing else in its process: see `WorkQueue.run_again_alone`
    recorded: Recorded | None = None  # of one that has a `submit_state`: what an earlier holder recorded
    waited_seconds: float = 0.0  # the time that has passed since it was created


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The prediction as it is now; `applied` is False if it had already ended (a cancel came first, or a repeat)."""

    prediction: Prediction
    applied: bool


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """`is_terminal`: it was ended meanwhile (cancel, deadline): the run should stop, and only log text was kept."""

    revision: int
    is_terminal: bool


class Reaped(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction taken back from a lost session: requeued for another attempt, or ended."""

    prediction: Prediction
    requeued: bool


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction that a clock ended; `was_leased` if somebody must be told to stop."""

    prediction: Prediction
    was_leased: bool


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting predictions allowed per account and in all."""

    per_account: int = 10_000
    total: int = 100_000


class SubmitLedger(Protocol):
    """What is known about handing a leased prediction to a place that outlives us (`Prediction.submit_state`).

    None of these changes what anybody is shown, so the revision stays. They hold for one that has ended meanwhile, too.

    Raises, each of them:
        LeaseLost: session or fence do not hold the prediction; nothing was written.
        WrongState: its state is another one than said below; nothing was written.
    """

    def record_intent(self, lease: Lease) -> Awaitable[None]:
        """It is about to be submitted: None becomes `intended`. Refused for one that has ended."""
        ...

    def record_handle(self, lease: Lease, handle: str) -> Awaitable[None]:
        """It was submitted, and this is how its place knows it: `intended` or `submitted` becomes `submitted`."""
        ...

    def withdraw_intent(self, lease: Lease) -> Awaitable[None]:
        """Its place is sure that nothing was begun: `intended` becomes None, and it may be submitted again."""
        ...

    def record_unknown(self, lease: Lease) -> Awaitable[None]:
        """Nobody can tell whether it was submitted, or what became of it: any state becomes `unknown` for good."""
        ...


class WorkQueue(SubmitLedger, Protocol):
    """Who may run what. The fence in each call is compared inside the transaction that writes.

    The store owns its clock. `at` is what the caller's clock shows at the call. When the wall clock of the machine is
    set, callers do nothing: deadlines of open predictions keep their distance (and the deadline that is shown moves),
    so do leases, duties and backoffs, and who has waited has waited for the time that passed. A change of less than 2 s
    is not followed. Of a change while no process had the store open only this is known: no prediction can have been
    created in the future, so `reap` with `all_but` gives such ones their time from then on.
    """

    def open_session(
        self, session_id: str, at: datetime, lease_seconds: float, *, offers: Collection[str] = ()
    ) -> Awaitable[None]:
        """Register a holder of leases, good until `at` + `lease_seconds` unless renewed.

        `offers` are the ids of the versions that it can run, now or when it has loaded them.
        """
        ...

    def renew(
        self, session_id: str, at: datetime, lease_seconds: float, *, offers: Collection[str] | None = None
    ) -> Awaitable[list[Lease]]:
        """Prolong the session and all its leases. Returns leases whose prediction has ended meanwhile: stop those.

        `offers` replaces what it has offered before; None leaves it as it is.

        Raises:
            LeaseLost: the session expired and was reaped, or never existed: stop everything.
        """
        ...

    def claim(
        self, session_id: str, credits: Mapping[str, int], at: datetime, *, but_of: frozenset[str] = frozenset()
    ) -> Awaitable[list[Claimed]]:
        """Take waiting predictions: at most `credits[version id]` of each version, none of the accounts `but_of`.

        Fair between accounts (weighted round-robin: while several accounts wait, each gets its share of the turns,
        however long its queue), then by priority (higher first), then by age. Each claim raises the fence and counts an
        attempt. Nobody else gets the same prediction until it is released or reaped. Predictions in backoff and those
        past a deadline are not given out.

        Raises:
            LeaseLost: the session is not open.
        """
        ...

    def append_events(self, lease: Lease, events: Sequence[NewEvent]) -> Awaitable[Appended]:
        """Record what a running prediction said. STARTED also moves it to `processing`; the revision grows.

        Of one that has ended, while its holder is not done, log text is added to the `logs` of the row: what it prints
        as it cleans up. No event tells of that, for FINISHED is the last; the revision grows.

        Raises:
            LeaseLost: session or fence do not hold the prediction; nothing was written.
        """
        ...

    def show_input(self, lease: Lease, shown: bytes) -> Awaitable[None]:
        """Replace the input as everybody sees it; the revision grows.

        For a prediction that was made before anybody knew which of its inputs are secrets. Nothing if it has ended.

        Raises:
            LeaseLost: session or fence do not hold the prediction; nothing was written.
        """
        ...

    def finish(
        self,
        lease: Lease,
        fact: Fact,
        at: datetime,
        *,
        events: Sequence[NewEvent] = (),
        error: str | None = None,
        reason: str | None = None,
        predict_time: float | None = None,
    ) -> Awaitable[Finished]:
        """End a prediction: last events, terminal row, FINISHED event; the queue entry goes. One transaction.

        If it had already ended, the queue entry goes, and of the events log text is kept as by `append_events`.
        Repeating is harmless.

        Raises:
            LeaseLost: another session or fence holds it; nothing was written.
        """
        ...

    def run_again_alone(
        self, lease: Lease, at: datetime, *, events: Sequence[NewEvent] = (), mark: str
    ) -> Awaitable[Reaped]:
        """Let it run once more with nothing beside it: its process ended with others inside, perhaps by their fault.

        Records the last events but output, and ATTEMPT_LOST with the line `mark`; it waits again at once. It stays
        `alone` whatever happens later, and has one attempt more than others before it is given up. Not requeued: it had
        ended meanwhile, or published output, or was alone already, or has a `submit_state`; then `finish` it, with the
        same events.

        Raises:
            LeaseLost: another session or fence holds it; nothing was written.
        """
        ...

    def release(self, lease: Lease, at: datetime, *, backoff_seconds: float = 0.0) -> Awaitable[None]:
        """Give it back unrun: it waits again and the attempt does not count. Harmless if the lease is lost.

        An ended prediction just leaves the queue.
        """
        ...

    def reap(
        self, duty: Duty, at: datetime, *, all_but: str | None = None, max_attempts: int = 2
    ) -> Awaitable[list[Reaped]]:
        """Take back the work of expired sessions; with `all_but` of every session except that one.

        (`all_but` is for a process that alone holds the data, at start.) Already ended: the entry goes. Attempts left
        and no output published: waits again after a backoff, with an ATTEMPT_LOST event (one that must be alone may
        have one attempt more). Else it ends `failed` with the reason `worker_lost`.

        What is `intended` or `submitted` waits again at once, with its state and without counting the attempt, whatever
        it published: its run may go on, and whoever claims it adopts that. What is `unknown` ends `failed` with the
        reason `upstream_outcome_unknown`.

        Raises:
            DutyLost: another session maintains the queue now; nothing was written. So do `expire` and `fail_waiting`.
        """
        ...

    def expire(self, duty: Duty, at: datetime, max_queue_seconds: float) -> Awaitable[list[Expired]]:
        """End predictions whose deadline has passed, and those that have waited longer than `max_queue_seconds`.

        One that waited that long with a `submit_state` ends as with `fail_waiting`.
        """
        ...

    def fail_waiting(
        self, duty: Duty, version: str, at: datetime, error: str, reason: str
    ) -> Awaitable[list[Prediction]]:
        """End every waiting (not leased) prediction of a version as failed: it cannot run here.

        One with a `submit_state` may run elsewhere: its reason is `upstream_outcome_unknown`, and so is its state.
        """
        ...

    async def offered(self, *, but_of: str | None = None) -> frozenset[str]:
        """The versions that sessions offer which were not reaped, that of `but_of` left out."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """How many predictions wait, by version id; versions without any are left out."""
        ...

    async def model_waited_for(self, version: str) -> str | None:
        """The model (`owner/name`) of the predictions that wait for this version; None if none does."""
        ...


class MaintainedQueue(WorkQueue, DutyStore, Protocol):
    """A queue with the election of who maintains it, in one database."""

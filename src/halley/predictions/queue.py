"""Leases, and the queue that assigns them.

`WorkQueue` is in the same database as `PredictionStore`; `predictions.ports` says what a transaction guarantees.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from halley.predictions.duties import Duty, DutyStore
from halley.predictions.records import NewEvent, Prediction, encode_output
from halley.predictions.status import EventKind, Fact
from halley.predictions.submits import Recorded, SubmitCount


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The time-limited right to run a prediction. Every write about the run carries it; an old fence is refused."""

    prediction_id: str
    session_id: str
    fence: int
    attempt: int


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction that its worker has claimed, with the input to run it on (secrets in clear)."""

    lease: Lease
    prediction: Prediction
    work_input: bytes
    context: bytes | None = None
    alone: bool = False  # nothing else may run in its process: see `WorkQueue.run_again_alone`
    recorded: Recorded | None = None  # for one with a `submit_state`: what an earlier holder recorded
    waited_seconds: float = 0.0  # the time that has passed since it was created

    @property
    def ran_seconds(self) -> float:
        """How long ago an earlier holder's run of it started, which may still continue; 0 if that is not known."""
        row = self.prediction
        if self.recorded is None or row.started_at is None or row.started_at < row.created_at:
            return 0.0
        return max(self.waited_seconds - (row.started_at - row.created_at).total_seconds(), 0.0)


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The prediction as it is now; `applied` is False if it had already ended (a cancel came first, or a repeat)."""

    prediction: Prediction
    applied: bool


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """The success of a run that did nothing but return, as most do: `output` is JSON without files, or None.

    `predict_time` is in seconds; without it, the time since it started is used.
    """

    started_at: datetime
    at: datetime
    output: bytes | None
    predict_time: float | None = None

    def events(self) -> list[NewEvent]:
        """The events that the run records."""
        start = NewEvent(kind=EventKind.STARTED, at=self.started_at, data=b"")
        if self.output is None:
            return [start]
        return [start, NewEvent(kind=EventKind.OUTPUT_SET, at=self.at, data=encode_output(self.output))]


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """`is_terminal`: it has ended meanwhile (cancel, deadline): the run should stop, and only log text was stored."""

    revision: int
    is_terminal: bool


class Reaped(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction taken back from a lost session: requeued for another attempt, or ended."""

    prediction: Prediction
    requeued: bool


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction that a time limit ended; `was_leased` if its worker must stop it."""

    prediction: Prediction
    was_leased: bool


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting predictions allowed per account and in all."""

    per_account: int = 10_000
    total: int = 100_000


MOST_BEFORE: Final = 1000  # a count without a limit would take long


class SubmitLedger(Protocol):
    """Records the submission of a leased prediction to a provider that continues without us
    (`Prediction.submit_state`).

    None of these changes what is shown, so the revision stays. They also apply to a prediction that has ended
    meanwhile.

    Raises, each of them:
        LeaseLost: session or fence do not hold the prediction; nothing was written.
        WrongState: its state is not the one named below; nothing was written.
    """

    def record_intent(self, lease: Lease, provider: str, count: SubmitCount | None = None) -> Awaitable[None]:
        """It is about to be submitted to this provider: None becomes `intended`. Refused for one that has ended.

        The word is kept as `Prediction.provider`: its version may have another provider when it is adopted. It is
        counted, for 24 hours or until `withdraw_intent`, however the prediction ends; without `count` it is not.

        Raises:
            SubmitLimitReached: so many are counted for the provider already; nothing was written.
        """
        ...

    def record_handle(self, lease: Lease, handle: str) -> Awaitable[None]:
        """It was submitted, and this is the provider's handle: `intended` or `submitted` becomes `submitted`."""
        ...

    def withdraw_intent(self, lease: Lease) -> Awaitable[None]:
        """The provider is certain that nothing was begun: `intended` becomes None, and it may be submitted again."""
        ...

    def record_unknown(self, lease: Lease) -> Awaitable[None]:
        """It is not known whether it was submitted, or how it ended: any state becomes `unknown`, finally."""
        ...

    async def count_submits(self, at: datetime) -> Mapping[str, int]:
        """How many submits count at this time, by provider; providers without any are left out."""
        ...

    async def seconds_until_submit(self, provider: str, count: SubmitCount) -> float:
        """How long `record_intent` would raise SubmitLimitReached; 0 if it would not."""
        ...

    async def held_handles(self, handles: Sequence[str], *, provider: str | None = None) -> frozenset[str]:
        """Those of the handles that are stored with any prediction, or with one of this provider."""
        ...

    async def count_unknown(self) -> Mapping[str, int]:
        """How many predictions are `unknown` and not settled, by provider; providers without any are left out."""
        ...

    async def list_unknown(self, most: int, *, with_settled: bool = False) -> list[Prediction]:
        """The newest of them, without input, output and logs; with the settled ones (`settlements`) if wanted."""
        ...


class WorkQueue(SubmitLedger, Protocol):
    """Assigns and protects leases. The fence in each call is compared inside the transaction that writes.

    The store owns its clock. `at` is what the caller's clock shows at the call. When the machine's wall clock is set,
    callers do nothing: deadlines of open predictions keep their distance (and the shown deadline moves), and so do
    leases, duties and backoffs; waiting times count elapsed time. A change of less than 2 s is not followed. Of a
    change while no process had the store open, only this is known: no prediction can have been created in the future,
    so `reap` with `all_but` gives such predictions their time from then on.

    A prediction may end (by a cancel, by its deadline) while its run elsewhere continues: it is `intended` or
    `submitted`. Then it stays in the queue until its holder calls `finish`. It waits and is claimed like others, with a
    terminal row, so that its next holder cancels the run. Without that it is removed from the queue when others
    would be ended: by `fail_waiting`, and by `expire` because of its waiting time.
    """

    def open_session(
        self, session_id: str, at: datetime, lease_seconds: float, *, offers: Collection[str] = ()
    ) -> Awaitable[None]:
        """Register a holder of leases, valid until `at` + `lease_seconds` unless renewed.

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

        Fair between accounts (weighted round-robin: while several accounts wait, each gets its share, however long its
        queue), then by priority (higher first), then by age. Each claim raises the fence and counts an attempt. No
        other session gets the same prediction until it is released or reaped. Predictions in backoff and those past a
        deadline are not assigned.

        Raises:
            LeaseLost: the session is not open.
        """
        ...

    def append_events(self, lease: Lease, events: Sequence[NewEvent]) -> Awaitable[Appended]:
        """Record the progress of a running prediction. STARTED also moves it to `processing`; the revision grows.

        If it has ended while its holder has not finished, log text is added to the `logs` of the row: what it prints
        while it cleans up. There is no event for it, because FINISHED is the last; the revision grows.

        Raises:
            LeaseLost: session or fence do not hold the prediction; nothing was written.
        """
        ...

    def show_input(self, lease: Lease, shown: bytes) -> Awaitable[None]:
        """Replace the input that is shown; the revision grows.

        For a prediction that was created before it was known which of its inputs are secrets. Does nothing if it has
        ended.

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
        """End a prediction: last events, terminal row, FINISHED event; the queue entry is removed. One transaction.

        If it had already ended, the queue entry is removed, and the log text of the events is stored as in
        `append_events`. Repeating is harmless.

        Raises:
            LeaseLost: another session or fence holds it; nothing was written.
        """
        ...

    def finish_returned(self, lease: Lease, returned: Returned, told: Callable[[Finished | Exception], None]) -> None:
        """As `finish` with SUCCEEDED and these events, without an awaitable: a callback gets the outcome or the error,
        in the event loop, once, after this call has returned. It must not raise.
        """
        ...

    def run_again_alone(
        self, lease: Lease, at: datetime, *, events: Sequence[NewEvent] = (), mark: str
    ) -> Awaitable[Reaped]:
        """Let it run once more alone in its process: its process ended with other runs inside, perhaps because of them.

        Records the last events except output, and ATTEMPT_LOST with the line `mark`; it waits again at once. It stays
        `alone`, and has one attempt more than others. Not requeued if it had ended meanwhile, has published output, was
        alone already, or has a `submit_state`; then call `finish` with the same events.

        Raises:
            LeaseLost: another session or fence holds it; nothing was written.
        """
        ...

    def release(self, lease: Lease, at: datetime, *, backoff_seconds: float = 0.0) -> Awaitable[None]:
        """Return it to the queue: it waits again and the attempt does not count. Does nothing if the lease is lost.

        An ended prediction is removed from the queue, unless its run elsewhere may continue.
        """
        ...

    def reap(
        self, duty: Duty, at: datetime, *, all_but: str | None = None, max_attempts: int = 2
    ) -> Awaitable[list[Reaped]]:
        """Take back the work of expired sessions; with `all_but` of every session except that one.

        (`all_but` is for a process that alone holds the data, at start.) If it has ended: as by `release`. If attempts
        are left and no output was published, it waits again after a backoff, with an ATTEMPT_LOST event (one that must
        be alone may have one attempt more). Otherwise it ends `failed` with the reason `worker_lost`.

        A prediction that is `intended` or `submitted` waits again at once, with its state and without counting the
        attempt, even if it published output: its run may continue, and the worker that claims it adopts it. One that is
        `unknown` ends `failed` with the reason `upstream_outcome_unknown`. One without a `submit_state`, of a version
        whose provider is not this machine, has begun nowhere: it waits again after a backoff, with nothing recorded and
        without counting the attempt.

        Raises:
            DutyLost: another session maintains the queue now; nothing was written. So do `expire` and `fail_waiting`.
        """
        ...

    def expire(self, duty: Duty, at: datetime, max_queue_seconds: float) -> Awaitable[list[Expired]]:
        """End predictions whose deadline has passed, and those that have waited longer than `max_queue_seconds`.

        One that has a `submit_state` ends as with `fail_waiting`, but only after it could be adopted for
        ADOPTION_SECONDS: for most of its age it did not wait, but ran.
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
        """The versions that unreaped sessions offer, without those of `but_of`."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """How many predictions wait, by version id; versions without any are left out."""
        ...

    def waiting_before(self, row: Prediction) -> int:
        """How many waiting predictions of the same account and version will be claimed before this one.

        At most MOST_BEFORE are counted.
        """
        ...

    async def model_waited_for(self, version: str) -> str | None:
        """The model (`owner/name`) of the predictions that wait for this version; None if none does."""
        ...


class MaintainedQueue(WorkQueue, DutyStore, Protocol):
    """A queue together with the election of its maintainer, in one database."""

"""What predictions need from the outside: a store, a queue beside it, a bus for hints, a place to run.

`PredictionStore` and `WorkQueue` live in the same database: each method is one transaction, and what a docstring
promises about several rows holds for all of them at once. `halley.testing` has the suite that holds every
implementation to these docstrings.

Durability: when the awaitable of a writing method is done, the change survives a crash of any process and (with the
database's full synchronous mode) a power cut. If the awaiting side is cancelled, the write still happens.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from halley.errors import InvalidField
from halley.predictions.large import Link
from halley.predictions.records import Event, NewEvent, Prediction
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.status import Fact, Source
from halley.predictions.submits import Recorded


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The time-limited right to run a prediction. Every write about the run carries it; an old fence is refused."""

    prediction_id: str
    session_id: str
    fence: int
    attempt: int


MAINTENANCE: Final = "maintenance"
"""The duty to take back, to end and to tidy up what no holder of a lease does (`DutyStore`)."""


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """The time-limited right to do what one process at a time may do. Its writes carry it; an old fence is refused."""

    name: str
    session_id: str
    fence: int


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction in the claimer's hands, with the input to run it on (secrets in clear)."""

    lease: Lease
    prediction: Prediction
    work_input: bytes
    context: bytes | None = None
    alone: bool = False  # it must run with nothing else in its process: see `WorkQueue.run_again_alone`
    recorded: Recorded | None = None  # of one that has a `submit_state`: what an earlier holder recorded
    waited_seconds: float = 0.0  # the time that has passed since it was created


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of ours that an input needs. `name` is for whoever looks them up again."""

    sha256: str
    name: str


class NewPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """What `create` stores.

    `work_input` is the real input when it differs from the shown one (secrets), `context` a JSON object of strings for
    the model alone; both are kept beside the queue entry and go with it. `session_id` asks for a prediction that is
    born leased (fence 1, attempt 1). `link_base` is what links to us begin with for the caller, for whoever tells its
    webhook later; it is kept only if there is one. With `idempotency` the account gets one prediction for that
    key, however often it creates. The bytes of `files` are held until the prediction is over.
    """

    prediction: Prediction
    work_input: bytes | None = None
    context: bytes | None = None
    session_id: str | None = None
    link_base: str | None = None
    idempotency: IdempotencyKey | None = None
    files: tuple[InputFile, ...] = ()


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored; `lease` is set if it was born leased, `replayed` if its idempotency key had made it before."""

    prediction: Prediction
    lease: Lease | None = None
    replayed: bool = False


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a cancel. `changed` is False if it was terminal before; `was_leased` if somebody runs it."""

    prediction: Prediction
    changed: bool
    was_leased: bool


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


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, newest first, and whether there is more on either side."""

    items: tuple[Prediction, ...]
    has_older: bool
    has_newer: bool


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting predictions allowed per account and in all."""

    per_account: int = 10_000
    total: int = 100_000


class PredictionStore(Protocol):
    """Facts about predictions."""

    def create(self, new: NewPrediction) -> Awaitable[Created]:
        """Store prediction, queue entry, CREATED event and idempotency key in one transaction.

        A second create with the same id and account changes nothing and returns what is stored; so does one with a
        key that the account has used for the same request and that has not expired at `created_at`. The caller may be
        answered once this is done, not before. A create that fails leaves its key free.

        Raises:
            KeyReused: the key was used for another request; nothing was stored.
            QueueFull, Overloaded: a limit of waiting predictions is reached; nothing was stored.
            StorageFull: no room; nothing was stored.
        """
        ...

    async def get(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        """The row, by primary key. None if absent, or if `account_id` is given and is not its owner.

        Sees every change whose awaitable is done. `output`, `logs` and `metrics` are empty until terminal: fold the
        events for a running one.
        """
        ...

    async def outline(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        """As `get`, without what may be megabytes: `input` is an empty object, there is no `output` and no `logs`."""
        ...

    async def page(
        self,
        account_id: str,
        *,
        limit: int,
        older_than: str | None = None,
        newer_than: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        source: Source | None = None,
        limit_bytes: int | None = None,
    ) -> Page:
        """A page of an account's predictions, newest first.

        `older_than`/`newer_than` are ids (at most one is given): the page begins after, or ends before, that id.
        `created_after` is inclusive, `created_before` exclusive. `logs` may be left empty in the items.

        The page ends before the prediction with which its items, logs not counted, would hold more than `limit_bytes`;
        it has at least one if there is any. What does not fit is not read.
        """
        ...

    def cancel(
        self, prediction_id: str, account_id: str | None, at: datetime, *, reason: str | None = None
    ) -> Awaitable[Canceled | None]:
        """Record the wish to cancel; one conditional update decides. `reason` is kept as termination reason.

        Waiting or running: `canceled` at once, with what was put out so far, and FINISHED is recorded. A waiting one
        leaves the queue; a leased one keeps its queue entry until its holder finishes (the slot is still taken).
        Terminal: unchanged. None if absent or somebody else's. Once it shows `canceled` it never shows anything else.
        """
        ...

    async def newest_id(self) -> str | None:
        """The greatest id of all predictions; None if there are none."""
        ...

    async def read_events(
        self,
        prediction_id: str,
        after_seq: int = 0,
        limit: int = 1000,
        limit_bytes: int | None = None,
        *,
        with_data: bool = True,
    ) -> list[Event]:
        """Events of one prediction in order of `seq`; gaps only where data was removed. Empty if nothing is newer.

        With `limit_bytes` it ends with the event whose data reaches so many bytes in all: there may be more then.
        Without `with_data` only those of the kinds in `status.LASTING` are given.
        """
        ...

    async def read_log(self, after_offset: int = 0, limit: int = 1000) -> list[Event]:
        """Events of all predictions in order of `offset`.

        Offsets follow the order of commits: once an event was read, no event with a smaller offset will appear later.
        So a reader that remembers its last offset misses nothing. Offsets may have gaps.
        """
        ...

    async def newest_offset(self) -> int:
        """The offset of the newest event of all, 0 if there is none. Cheap: it is asked again and again."""
        ...

    async def changed_between(self, after: int, up_to: int) -> list[str]:
        """The predictions that events behind `after` and up to `up_to` are about, each once, in any order."""
        ...


class AttendanceStore(Protocol):
    """Which predictions somebody waits for who may leave; it outlives the process that knew them.

    Who waits is counted per node: a node does not know who waits at another one, and forgets an id here when the last
    of its own clients leaves. With several API nodes on one store, a prediction that is to be canceled when abandoned
    may therefore be canceled although a client waits for it at another node.
    """

    def note_awaited(self, added: Sequence[str], dropped: Sequence[str]) -> Awaitable[None]:
        """Remember and forget ids. Repeating it is harmless."""
        ...

    async def awaited(self) -> list[str]:
        """The ids that are remembered, in order."""
        ...


class DutyStore(Protocol):
    """Who does what only one process may do at a time. The holder is elected by a lease; each new holder has a greater
    fence, which every write of the duty carries and which is compared inside the transaction that writes.
    """

    def hold_duty(
        self, name: str, session_id: str, at: datetime, lease_seconds: float, *, alone: bool = False
    ) -> Awaitable[Duty | None]:
        """Take the duty until `at` + `lease_seconds`; None while another session holds it.

        It is free if nobody holds it or the holder's time is over. With `alone` it is taken whoever holds it: for a
        process that alone uses the data, so that whoever held the duty is dead. Who holds it already keeps its fence.
        """
        ...

    def renew_duty(self, duty: Duty, at: datetime, lease_seconds: float) -> Awaitable[None]:
        """Keep it until `at` + `lease_seconds`, also if its time was over and nobody has taken it.

        Raises:
            DutyLost: another session took it, or it was released.
        """
        ...

    def release_duty(self, duty: Duty) -> Awaitable[None]:
        """Give it up: whoever asks next has it. Harmless if it is lost."""
        ...


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


class Changed(msgspec.Struct, frozen=True, tag=True):
    """Something about this prediction was committed: read it again."""

    prediction_id: str


class WorkWaits(msgspec.Struct, frozen=True, tag=True):
    """A prediction of this version waits in the queue."""

    version: str


class StopRequested(msgspec.Struct, frozen=True, tag=True):
    """This running prediction has ended: whoever runs it should stop."""

    prediction_id: str


class MessageWaits(msgspec.Struct, frozen=True, tag=True):
    """A webhook message to this endpoint (host:port) is due."""

    endpoint: str


Hint = Changed | WorkWaits | StopRequested | MessageWaits


class Bus(Protocol):
    """Hints between parts and processes. It may drop, repeat, delay and reorder them: nothing may depend on a hint.

    Whoever waits for a hint also looks at the store, at times counted from its own last look and not from the last
    hint. So a bus that drops everything costs one poll interval. Both methods belong to the loop's thread.
    """

    def publish(self, hint: Hint) -> None:
        """Tell all subscribers, in this process and in others. Never blocks, never raises."""
        ...

    def subscribe(self, receive: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `receive` for hints from now on. Calling what is returned ends that; repeating it is harmless.

        `receive` runs in the loop's thread and must be short. If it raises, that is logged, and nobody else notices.
        """
        ...


class ExpiryPolicy(Protocol):
    """How long predictions keep their data (retention fills it)."""

    def ends_at(self, prediction: Prediction) -> datetime | None:
        """When the data of this prediction is to go, by what is set now. None: not known yet, or never. No I/O."""
        ...


class FileLinks(Protocol):
    """Looks at links in an input before it becomes a prediction (assets fills this)."""

    def links(self, version: str, openapi_schema: bytes, value: Mapping[str, Any]) -> Sequence[Link]:
        """What stands in the positions of files; one more than LINKS_LIMIT at most."""
        ...

    async def own_files(self, links: Sequence[Link], account_id: str) -> tuple[InputFile, ...]:
        """Files of this server among them, as far as the account may use them. Reads only, no network.

        Raises:
            InputInvalid, TooLarge: a `data:` URL among them cannot be used.
        """
        ...

    async def faults(self, links: Sequence[Link], most: int) -> tuple[InvalidField, ...]:
        """Those that can never be used: forbidden addresses, foreign schemes; `most` are listed. No I/O."""
        ...


class Placement(Protocol):
    """Whether a new prediction can start at once (dispatch fills this)."""

    def reserve(self, version: str, account_id: str) -> str | None:
        """Hold a free slot for a prediction of this version that the account is about to create.

        Returns the session to lease it to, or None: no free slot here, or others wait already. Each reservation is
        ended by exactly one of `begin` and `give_up`.
        """
        ...

    def begin(self, version: str, claimed: Claimed) -> None:
        """The create is committed: run it."""
        ...

    def give_up(self, version: str) -> None:
        """The create failed: the slot is free again."""
        ...

"""What predictions need from outside: a store, a place to run, and checks of files.

`PredictionStore` and `queue.WorkQueue` live in the same database: each method is one transaction, and what a docstring
promises about several rows holds for all of them at once. `halley.testing` has the suite that holds every
implementation to these docstrings.

Durability: when the awaitable of a writing method is done, the change survives a crash of any process and (with the
database's full synchronous mode) a power cut. If the awaiting side is cancelled, the write still happens.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from halley.errors import InvalidField
from halley.predictions.large import Link
from halley.predictions.queue import Claimed, Lease
from halley.predictions.records import Event, Prediction
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.status import Source


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of this server that an input needs. `name` is used to find them again."""

    sha256: str
    name: str


class NewPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """What `create` stores.

    `work_input` is the real input if it differs from the shown one (secrets), `context` a JSON object of strings for
    the model only; both are stored with the queue entry and removed with it. `session_id` asks for a prediction that is
    leased from the start (fence 1, attempt 1). `link_base` is the beginning of our links for the caller, used in its
    webhook messages; it is stored only if there is a webhook. With `idempotency` the account gets one prediction for
    that key, however often it creates. The bytes of `files` are kept until the prediction has ended. `tags` are for
    `search`; a repeated create keeps those of the first.
    """

    prediction: Prediction
    work_input: bytes | None = None
    context: bytes | None = None
    session_id: str | None = None
    link_base: str | None = None
    idempotency: IdempotencyKey | None = None
    files: tuple[InputFile, ...] = ()
    tags: tuple[str, ...] = ()


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored; `lease` is set if it is leased from the start, `replayed` if its idempotency key had created it
    before.
    """

    prediction: Prediction
    lease: Lease | None = None
    replayed: bool = False


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a cancel. `changed` is False if it was terminal before; `was_leased` if a worker runs it."""

    prediction: Prediction
    changed: bool
    was_leased: bool


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, newest first, and whether there is more on either side."""

    items: tuple[Prediction, ...]
    has_older: bool
    has_newer: bool


class PredictionStore(Protocol):
    """Stores predictions and their events."""

    def create(self, new: NewPrediction) -> Awaitable[Created]:
        """Store prediction, queue entry, CREATED event and idempotency key in one transaction.

        A second create with the same id and account changes nothing and returns what is stored; so does one with a key
        that the account has used for the same request and that has not expired at `created_at`. The caller may be
        answered only after this. A create that fails leaves its key free.

        Raises:
            KeyReused: the key was used for another request; nothing was stored.
            QueueFull, Overloaded: a limit of waiting predictions is reached; nothing was stored.
            StorageFull: no room; nothing was stored.
        """
        ...

    def create_and_tell(self, new: NewPrediction, told: Callable[[Created | Exception], None]) -> None:
        """As `create`, without an awaitable: a callback gets the outcome or the error, in the event loop, once, after
        this call has returned. It must not raise.
        """
        ...

    async def get(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        """The row, by primary key. None if absent, or if `account_id` is given and is not its owner.

        Sees every change whose awaitable is done. `output`, `logs` and `metrics` are empty until terminal: for a
        running prediction, fold the events.
        """
        ...

    def revision(self, prediction_id: str, account_id: str) -> int | None:
        """The revision of the row that `get` would return now; None if absent, another account's, or not known at once.

        A store that would have to wait for it always returns None.
        """
        ...

    def just_ended(self, prediction_id: str) -> Prediction | None:
        """The row that `get` would return now, if it is terminal and in memory; None says nothing.

        After a `Changed` hint for an end in this process a store should have it.
        """
        ...

    async def outline(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        """Like `get`, without values of megabytes: `input` is an empty object, and there is no `output` and no
        `logs`.
        """
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

        The page ends before the prediction with which its items, logs not counted, would exceed `limit_bytes`; it has
        at least one if there is any. Items that do not fit are not read.
        """
        ...

    def cancel(
        self, prediction_id: str, account_id: str | None, at: datetime, *, reason: str | None = None
    ) -> Awaitable[Canceled | None]:
        """Record a cancel request; one conditional update decides. `reason` is stored as termination reason.

        Waiting or running: `canceled` at once, with the output so far, and FINISHED is recorded. A waiting one leaves
        the queue; a leased one keeps its queue entry until its holder finishes (the slot is still in use). Terminal:
        unchanged. None if absent or of another account. After `canceled` was shown, no other status is shown.
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

        Offsets follow the order of commits: after an event was read, no event with a smaller offset will appear. So a
        reader that remembers its last offset misses nothing. Offsets may have gaps.
        """
        ...

    async def newest_offset(self) -> int:
        """The offset of the newest event of all, 0 if there is none. Cheap, because it is polled."""
        ...

    async def changed_between(self, after: int, up_to: int) -> list[str]:
        """The predictions of the events after `after` and up to `up_to`, each once, in any order."""
        ...


class ExpiryPolicy(Protocol):
    """How long predictions keep their data (implemented by retention)."""

    def ends_at(self, prediction: Prediction) -> datetime | None:
        """When the data of this prediction is to be removed, by the present settings. None: not known yet, or never. No
        I/O.
        """
        ...


class FileLinks(Protocol):
    """Checks links in an input before it becomes a prediction (implemented by assets)."""

    def links(self, version: str, openapi_schema: bytes, value: Mapping[str, Any]) -> Sequence[Link]:
        """The strings in file positions; at most one more than LINKS_LIMIT."""
        ...

    async def own_files(self, links: Sequence[Link], account_id: str) -> tuple[InputFile, ...]:
        """Files of this server among them that the account may use. Reads only, no network.

        Raises:
            InputInvalid, TooLarge: a `data:` URL among them cannot be used.
        """
        ...

    async def faults(self, links: Sequence[Link], most: int) -> tuple[InvalidField, ...]:
        """The links that can never be used: forbidden addresses, foreign schemes; at most `most` are listed. No I/O."""
        ...


class SubmitLimits(Protocol):
    """How many predictions services elsewhere may get (implemented by dispatch)."""

    def has_limit(self, version: str) -> bool:
        """Whether creates of this version must be checked. No I/O."""
        ...

    async def check(self, version: str) -> None:
        """Whether the version can be submitted anywhere now.

        Raises:
            SubmitLimitReached: every place that can run it has got as many in 24 hours as it may.
        """
        ...


class Placement(Protocol):
    """Whether a new prediction can start at once (implemented by dispatch)."""

    def reserve(self, version: str, account_id: str) -> str | None:
        """Hold a free slot for a prediction of this version that the account is about to create.

        Returns the session to lease it to, or None: no free slot here, or others wait already. Exactly one of `begin`
        and `give_up` must end each reservation.
        """
        ...

    def begin(self, version: str, claimed: Claimed) -> None:
        """The create is committed: run the prediction."""
        ...

    def give_up(self, version: str) -> None:
        """The create failed: the slot is free again."""
        ...

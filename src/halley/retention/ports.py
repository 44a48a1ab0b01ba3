"""What the removal of data needs from a store and from the blob references."""

from collections.abc import Awaitable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from halley.predictions.records import Prediction
from halley.predictions.status import Source

OwnerKind = Literal["prediction", "input", "file"]
"""Who may need bytes: an output, the input of a prediction that is not over, an upload."""


class DataGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Finished predictions with data that are kept equally long, and when the oldest of them was completed."""

    source: Source
    model: str
    key_id: str | None
    oldest_completed_at: datetime


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Whose data was removed, the SHA-256 of contents not needed any more, and whether events are left."""

    prediction_ids: tuple[str, ...] = ()
    freed: tuple[str, ...] = ()
    has_events_left: bool = False


class DataStore(Protocol):
    """What the store knows of data, and its removal. Writing methods are one durable transaction, and a short one.

    Removal by time runs where the duty to maintain is (`predictions.duties`), but its writes do not carry the fence:
    whoever is late removes what was due anyway, and what another one has removed is not removed again. An account may
    remove at any server.
    """

    async def get(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        """The row, as `predictions.ports.PredictionStore` gives it."""
        ...

    async def data_groups(self) -> list[DataGroup]:
        """Every group of finished predictions that still have data; what runs or waits is in none."""
        ...

    async def due(self, group: DataGroup, completed_by: datetime, limit: int) -> list[str]:
        """Up to `limit` ids of the group that were completed at `completed_by` or earlier and can be removed."""
        ...

    async def due_with_files(self, group: DataGroup, completed_by: datetime) -> list[str]:
        """Those of `due` that need bytes, without a limit: to make room, all must be found, however many have none."""
        ...

    def remove_data(self, prediction_ids: Sequence[str], at: datetime) -> Awaitable[Removed]:
        """Remove input, output, logs and references to files, and record DATA_REMOVED.

        Only of predictions that are terminal and have data, and whose end the reader for webhooks has passed (messages
        are copies; settled ones go, too). Others are left alone. What happened stays: status, times, error, metrics.
        The revision grows by one. The events of long logs stay behind, see `remove_events`.
        """
        ...

    def remove_events(self, limit: int) -> Awaitable[int]:
        """Delete up to `limit` events that `remove_data` left behind; gives their number. 0 means that none are left.

        A crash between the two leaves a trace: the events are found again.
        """
        ...

    async def stray_owners(self, owner_kind: OwnerKind, made_before: datetime, limit: int | None) -> list[str]:
        """Up to `limit` ids, or all, of owners that note a need for bytes and have no reason for it any more.

        A prediction's output, after its data was removed; the input of a prediction, after it is over; an upload that
        was never stored, or not deleted to the end, if its id was made before `made_before`.
        """
        ...

    async def last_recorded_at(self) -> datetime | None:
        """The time of the newest event; None if nothing ever happened."""
        ...


class Bytes(Protocol):
    """The contents of files (assets fills it)."""

    async def delete_unreferenced(self, digests: Iterable[str]) -> int:
        """Delete those contents that are not needed any more; returns their number."""
        ...

    @property
    def stuck(self) -> Mapping[str, OSError]:
        """Contents that are not needed any more but could not be deleted at the last try, and why."""
        ...

    async def retry_stuck(self) -> int:
        """Try again to delete what could not be deleted; gives the number of what could now."""
        ...

    async def release(self, owner_kind: str, owner_id: str) -> int:
        """Remove all references of an owner and delete contents without any; returns the number of deleted contents."""
        ...

    async def make_room(self, owners: Set[tuple[str, str]]) -> int:
        """Delete what only these (kind, id) refer to, and write nothing; returns the number of deleted contents."""
        ...

    async def make_room_of_unneeded(self) -> int:
        """Delete noted contents that are not needed, and write nothing; returns the number of deleted contents."""
        ...

    async def sweep(self) -> int:
        """Delete all noted contents that are not needed; returns their number."""
        ...

    async def sweep_unknown(self, older_than_seconds: float) -> int:
        """Delete contents that are stored and not even noted, once they are so old; gives their number."""
        ...


class Uploads(Protocol):
    """Uploaded files (assets fills it)."""

    async def expire(self, at: datetime) -> int:
        """Remove files whose time was over at `at` and that no prediction needs, some of them; 0 means done."""
        ...

    async def overdue(self, at: datetime) -> Sequence[str]:
        """The ids of all files whose time was over at `at`, also of those that a prediction needs."""
        ...

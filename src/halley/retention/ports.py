"""What the removal of data needs: the store and the blob references."""

from collections.abc import Awaitable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from halley.predictions.records import Prediction
from halley.predictions.status import Source

OwnerKind = Literal["prediction", "input", "file"]
"""The kinds of owners of bytes: an output, the input of an unfinished prediction, an upload."""


class DataGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Finished predictions with data and the same period, and when the oldest of them was completed."""

    source: Source
    model: str
    key_id: str | None
    oldest_completed_at: datetime


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions whose data was removed, the SHA-256 of unreferenced contents, and whether events are left."""

    prediction_ids: tuple[str, ...] = ()
    freed: tuple[str, ...] = ()
    has_events_left: bool = False


class DataStore(Protocol):
    """The store's view of data, and its removal. Writing methods are one durable transaction, and a short one.

    The holder of the duty to maintain (`predictions.duties`) removes expired data, but its writes do not carry the
    fence: a late one removes data that was due anyway, and data that was removed is not removed again. An account may
    remove its data at any server.
    """

    async def get(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        """The row, as `predictions.ports.PredictionStore` gives it."""
        ...

    async def data_groups(self) -> list[DataGroup]:
        """Every group of finished predictions that still have data; running and waiting ones are in no group."""
        ...

    async def due(self, group: DataGroup, completed_by: datetime, limit: int) -> list[str]:
        """Up to `limit` ids of the group that were completed at `completed_by` or earlier and can be removed."""
        ...

    async def due_with_files(self, group: DataGroup, completed_by: datetime) -> list[str]:
        """Those of `due` that reference bytes, without a limit: to free space, all must be found."""
        ...

    def remove_data(self, prediction_ids: Sequence[str], at: datetime) -> Awaitable[Removed]:
        """Remove input, output, logs and references to files, and record DATA_REMOVED.

        Only of predictions that are terminal and have data, and whose end the reader for webhooks has passed (messages
        are copies; settled ones are removed, too). Others stay unchanged. The history stays: status, times, error,
        metrics. The revision grows by one. The events of long logs are left for `remove_events`.
        """
        ...

    def remove_events(self, limit: int) -> Awaitable[int]:
        """Delete up to `limit` events that `remove_data` left; returns their number. 0 means that none are left.

        After a crash between the two, the events are found again.
        """
        ...

    async def stray_owners(self, owner_kind: OwnerKind, made_before: datetime, limit: int | None) -> list[str]:
        """Up to `limit` ids, or all, of owners with references to bytes that they do not need any more.

        A prediction's output, after its data was removed; the input of a prediction, after its end; an upload that was
        never stored, or only partly deleted, if its id was made before `made_before`.
        """
        ...

    async def last_recorded_at(self) -> datetime | None:
        """The time of the newest event; None if there is none."""
        ...


class Bytes(Protocol):
    """The contents of files (implemented by assets)."""

    async def delete_unreferenced(self, digests: Iterable[str]) -> int:
        """Delete the contents among these without a reference; returns their number."""
        ...

    @property
    def stuck(self) -> Mapping[str, OSError]:
        """Contents without a reference that could not be deleted at the last try, and the error of each."""
        ...

    async def retry_stuck(self) -> int:
        """Try again to delete these contents; returns how many were deleted."""
        ...

    async def release(self, owner_kind: str, owner_id: str) -> int:
        """Remove all references of an owner and delete contents without any; returns the number of deleted contents."""
        ...

    async def make_room(self, owners: Set[tuple[str, str]]) -> int:
        """Delete contents that only these (kind, id) reference, without any write; returns their number."""
        ...

    async def make_room_of_unneeded(self) -> int:
        """Delete recorded contents without a reference, without any write; returns their number."""
        ...

    async def sweep(self) -> int:
        """Delete all recorded contents without a reference; returns their number."""
        ...

    async def sweep_unknown(self, older_than_seconds: float) -> int:
        """Delete stored contents without any record, once they are so old; returns their number."""
        ...


class Uploads(Protocol):
    """Uploaded files (implemented by assets)."""

    async def expire(self, at: datetime) -> int:
        """Remove some files that had expired at `at` and that no prediction needs; 0 means that none is left."""
        ...

    async def overdue(self, at: datetime) -> Sequence[str]:
        """The ids of all files that had expired at `at`, including those that a prediction needs."""
        ...

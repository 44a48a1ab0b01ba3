"""Removes the data of finished predictions after its period or on request, and what crashes left.

Everything is found by reading the store: data that is due, half removed or without an owner. So it does not matter
where a crash happens, or how long this did not run.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, get_args

from halley.clock import Clock
from halley.errors import HalleyError, NotFound, Overloaded, StorageFull, WrongState
from halley.predictions.hints import Bus, Changed
from halley.retention.periods import Periods
from halley.retention.ports import Bytes, DataGroup, DataStore, OwnerKind, Removed, Uploads
from halley.retention.retention_clock import RetentionClock
from halley.retry import HousekeepingFaults, run_housekeeping

_log = logging.getLogger(__name__)

BATCH: Final = 20  # predictions in one transaction: a create waits for at most a few milliseconds
EVENTS: Final = 500  # and events
SHORTEST_LOOK_SECONDS: Final = 1.0
LONGEST_LOOK_SECONDS: Final = 60.0
SWEEP_SECONDS: Final = 6 * 3600.0  # between scans of the whole store for what a crash left
UNKNOWN_SECONDS: Final = 3600.0  # younger contents may be about to get a reference
UNSTORED: Final = timedelta(days=1)  # a longer upload is interrupted long before
RETRY_SECONDS: Final = 1.0  # before the first retry of a deletion; doubles each time
LONGEST_RETRY_SECONDS: Final = 3600.0
_DELETING: Final = "deleting stored files"
_OWNERS_AT_ONCE: Final = 100
_TRIES: Final = 60
_TRY_SECONDS: Final = 0.1


class RetentionService:
    """`run` must be running. Everything happens in the loop's thread."""

    def __init__(
        self,
        *,
        store: DataStore,
        blob_references: Bytes,
        uploads: Uploads,
        periods: Periods,
        bus: Bus,
        clock: Clock,
        housekeeping_faults: HousekeepingFaults | None = None,
    ) -> None:
        self._troubles = housekeeping_faults or HousekeepingFaults()
        self._store = store
        self._blob_references = blob_references
        self._uploads = uploads
        self._periods = periods
        self._bus = bus
        self._clock = clock
        self._calendar: RetentionClock | None = None
        self._swept_at: float | None = None
        self._retry_at = 0.0
        self._retry_seconds = RETRY_SECONDS

    async def run(self) -> None:
        """Check, remove, sweep, until cancelled. A full disk, a busy store or an unusual file does not end it."""
        await run_housekeeping(self._turn, self._clock, "removing old data", self._troubles)

    async def _turn(self) -> None:
        try:
            await self._look_where_there_is_room()
        except HalleyError as error:  # on a full disk or a busy store, removing due data is the first thing to retry
            _log.warning("old data could not be removed now: %s", error)
        await self._try_stuck_again()
        await self._clock.sleep(self._look_seconds())

    async def _try_stuck_again(self) -> None:
        """Retry failed deletions, with growing pauses; they are shown until they succeed."""
        now = self._clock.monotonic()
        if self._blob_references.stuck and now >= self._retry_at:
            await self._blob_references.retry_stuck()
            self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
            self._retry_at = now + self._retry_seconds
        stuck = list(self._blob_references.stuck.values())
        if stuck:
            self._troubles.note(_DELETING, stuck[0])
        else:
            self._troubles.clear(_DELETING)
            self._retry_at, self._retry_seconds = 0.0, RETRY_SECONDS

    async def _look_where_there_is_room(self) -> None:
        """On a full disk no row can be removed: then the files of due predictions are deleted first."""
        try:
            await self.look()
        except StorageFull:
            if not await self._make_room():
                raise
            await self.look()

    async def _make_room(self) -> int:
        """Delete files of due predictions, which clients cannot read any more, before their rows; returns the count."""
        count = (
            await self._blob_references.make_room(await self._due_owners())
            + await self._blob_references.make_room_of_unneeded()
        )
        _log.warning("the disk is full: deleted %d files whose retention period is over", count)
        return count

    async def _due_owners(self) -> set[tuple[str, str]]:
        """All owners whose references are due. Together, since they may share files."""
        owners: set[tuple[str, str]] = set()
        for group, completed_by in await self._due_groups():
            owners.update(("prediction", one) for one in await self._store.due_with_files(group, completed_by))
        owners.update(("file", one) for one in await self._uploads.overdue((await self._certain()).now()))
        for kind in get_args(OwnerKind):
            owners.update((kind, one) for one in await self._store.stray_owners(kind, self._made_before(), None))
        return owners

    async def look(self) -> int:
        """Remove all due data, and sweep if it is time; returns the number of predictions whose data was removed."""
        await self._periods.refresh()
        await self._finish()  # finish what a crash interrupted
        removed = await self._remove_due()
        await self._release("input")
        while await self._uploads.expire((await self._certain()).now()):
            pass
        now = self._clock.monotonic()
        if self._swept_at is None or now - self._swept_at >= SWEEP_SECONDS:
            await self.sweep()
            self._swept_at = now
        return removed

    async def sweep(self, unknown_seconds: float = UNKNOWN_SECONDS) -> None:
        """Search everything for what a crash left, and remove it."""
        for kind in get_args(OwnerKind):
            await self._release(kind)
        count = await self._blob_references.sweep() + await self._blob_references.sweep_unknown(unknown_seconds)
        if count:
            _log.info("deleted %d stored files that are not needed any more", count)

    async def remove_now(self, prediction_id: str, account_id: str) -> None:
        """Remove a prediction's data at once; does nothing if it was removed already.

        Raises:
            NotFound: absent, or of another account.
            WrongState: it has not ended.
            Overloaded: its webhook's message could not be made within the time limit.
        """
        row = await self._store.get(prediction_id, account_id)
        if row is None:
            raise NotFound(f"There is no prediction {prediction_id}")
        if not row.is_terminal:
            raise WrongState(
                f"The prediction {prediction_id} is {row.status}: its data can be removed after it has ended. "
                "Cancel it first, or wait."
            )
        await self._remove_patiently(prediction_id)

    async def _remove_patiently(self, prediction_id: str) -> None:
        for _ in range(_TRIES):
            if (await self._remove([prediction_id])).prediction_ids:
                return
            row = await self._store.get(prediction_id)
            if row is None or row.data_removed_at is not None:
                return
            await self._clock.sleep(_TRY_SECONDS)  # its end is about to be sent to its webhook
        raise Overloaded(f"The webhook of prediction {prediction_id} has not been sent its end yet. Try again.")

    async def _due_groups(self) -> list[tuple[DataGroup, datetime]]:
        """The groups with due data, and the completion time up to which it is due."""
        now = (await self._certain()).now()
        periods = [
            (group, self._periods.of(group.source, group.model, group.key_id))
            for group in await self._store.data_groups()
        ]
        ends = [(group, now - period) for group, period in periods if period is not None]
        return [(group, end) for group, end in ends if group.oldest_completed_at <= end]

    async def _certain(self) -> RetentionClock:
        if self._calendar is None:
            self._calendar = RetentionClock(self._clock, await self._store.last_recorded_at())
        return self._calendar

    async def _remove_due(self) -> int:
        count = 0
        for group, completed_by in await self._due_groups():
            while due := await self._store.due(group, completed_by, BATCH):
                began = self._clock.monotonic()
                removed = await self._remove(due)
                if not removed.prediction_ids:
                    break  # removed elsewhere, or not possible now: do not retry the same ones in a loop
                count += len(removed.prediction_ids)
                await self._rest(began)
        if count:
            _log.info("removed the data of %d predictions whose retention period is over", count)
        return count

    async def _remove(self, prediction_ids: Sequence[str]) -> Removed:
        removed = await self._store.remove_data(prediction_ids, self._clock.now())
        for prediction_id in removed.prediction_ids:
            self._bus.publish(Changed(prediction_id))
        await self._blob_references.delete_unreferenced(removed.freed)
        if removed.has_events_left:
            await self._finish()
        return removed

    async def _finish(self) -> None:
        """Delete the remaining events of removed data."""
        began = self._clock.monotonic()
        while await self._store.remove_events(EVENTS):
            await self._rest(began)
            began = self._clock.monotonic()

    async def _release(self, kind: OwnerKind) -> None:
        """Remove references of owners that do not need them any more."""
        while owners := await self._store.stray_owners(kind, self._made_before(), _OWNERS_AT_ONCE):
            for owner_id in owners:
                await self._blob_references.release(kind, owner_id)

    async def _rest(self, began: float) -> None:
        """Leave the writer to others for as long as this used it."""
        if (took := self._clock.monotonic() - began) > 0:
            await self._clock.sleep(took)

    def _look_seconds(self) -> float:
        """Time until the next check: a sixtieth of the shortest period, within limits."""
        shortest = self._periods.shortest
        wanted = LONGEST_LOOK_SECONDS if shortest is None else shortest.total_seconds() / 60
        return min(max(wanted, SHORTEST_LOOK_SECONDS), LONGEST_LOOK_SECONDS)

    def _made_before(self) -> datetime:
        return (self._calendar.now() if self._calendar is not None else self._clock.now()) - UNSTORED

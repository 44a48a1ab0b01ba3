"""Facts about predictions, over one dictionary of entries."""

from collections.abc import Callable
from datetime import datetime
from itertools import accumulate

from halley.errors import Conflict
from halley.predictions.ports import Canceled, Created, NewPrediction, Page
from halley.predictions.records import Event, NewEvent, Prediction, outline_of
from halley.predictions.status import LASTING, EventKind, Fact, Source
from halley.store.deadlines import in_current_time
from halley.store.memory.clock import MemoryClock
from halley.store.memory.entries import Entry, QueueEntry, at_once, fitting, tell
from halley.store.memory.health import MemoryHealth
from halley.store.memory.retention import MemoryData
from halley.store.memory.search import MemorySearch
from halley.store.memory.shelves import MemoryKeys, MemoryModels
from halley.store.memory.turns import MemoryTurns


class MemoryPredictions(MemorySearch, MemoryHealth, MemoryTurns, MemoryModels, MemoryKeys, MemoryData):
    """Implements `predictions.ports.PredictionStore`."""

    _clock: MemoryClock

    @at_once
    def create(self, new: NewPrediction) -> Created:
        return self.create_one(new)

    def create_one(self, new: NewPrediction) -> Created:
        """See PredictionStore.create."""
        self._clock.look()
        prediction = in_current_time(new.prediction, self._clock)
        if (earlier := self._made_before(new)) is not None:
            return Created(prediction=earlier, replayed=True)
        known = self._entries.get(prediction.id)
        if known is not None:
            if known.prediction.account_id != prediction.account_id:
                raise Conflict(f"The id {prediction.id} is taken.")
            return Created(prediction=known.prediction)
        place = QueueEntry(new.work_input, new.context)
        if new.session_id in self.tables.sessions:
            place.holder, place.fence, place.attempt = new.session_id, 1, 1
            if self._lines(prediction.version):
                self._take_turn(prediction, was_chosen=False)
        else:
            self.check_room(prediction.account_id)
        entry = self._entries[prediction.id] = Entry(prediction, place)
        entry.change(prediction)
        self.hold(prediction.id, new.files)
        if new.tags:
            self.tables.tags[prediction.id] = new.tags
        entry.record([NewEvent(kind=EventKind.CREATED, at=prediction.created_at)], self._log)
        if new.idempotency is not None:
            self._keys_used[prediction.account_id, new.idempotency.key] = new.idempotency, prediction.id
        self.count_run(prediction.model)
        if new.link_base is not None and prediction.has_webhook:
            self.deliveries.link_bases[prediction.id] = new.link_base
        return Created(prediction=entry.prediction, lease=entry.lease)

    def create_and_tell(self, new: NewPrediction, told: Callable[[Created | Exception], None]) -> None:
        tell(self.create(new), told)

    async def get(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        entry = self._entries.get(prediction_id)
        if entry is None or (account_id is not None and entry.prediction.account_id != account_id):
            return None
        return entry.prediction

    def revision(self, prediction_id: str, account_id: str) -> int | None:
        entry = self._entries.get(prediction_id)
        return None if entry is None or entry.prediction.account_id != account_id else entry.prediction.revision

    def just_ended(self, prediction_id: str) -> Prediction | None:
        entry = self._entries.get(prediction_id)
        return None if entry is None or not entry.prediction.is_terminal else entry.prediction

    async def outline(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        return outline_of(await self.get(prediction_id, account_id))

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
        rows = [
            row
            for _, row in sorted(((key, entry.prediction) for key, entry in self._entries.items()), reverse=True)
            if row.account_id == account_id
            and (created_after is None or row.created_at >= created_after)
            and (created_before is None or row.created_at < created_before)
            and (source is None or row.source is source)
        ]
        if newer_than is not None:
            newer = [row for row in rows if row.id > newer_than]
            items = fitting(newer[-limit:][::-1], limit_bytes)[::-1]
        else:
            older = [row for row in rows if older_than is None or row.id < older_than]
            items = fitting(older[:limit], limit_bytes)
        if items:
            first, last = rows.index(items[0]), rows.index(items[-1])
            return Page(items=tuple(items), has_newer=first > 0, has_older=last < len(rows) - 1)
        return Page(
            items=(), has_newer=bool(rows) and older_than is not None, has_older=bool(rows) and newer_than is not None
        )

    @at_once
    def cancel(
        self, prediction_id: str, account_id: str | None, at: datetime, *, reason: str | None = None
    ) -> Canceled | None:
        entry = self._entries.get(prediction_id)
        if entry is None or (account_id is not None and entry.prediction.account_id != account_id):
            return None
        was_leased = entry.lease is not None
        changed = not entry.prediction.is_terminal
        if changed:
            request = NewEvent(kind=EventKind.CANCEL_REQUESTED, at=at)
            entry.end(Fact.CANCEL_REQUESTED, at, self._log, events=[request], reason=reason)
            self._leave(entry)
        return Canceled(prediction=entry.prediction, changed=changed, was_leased=was_leased)

    async def newest_id(self) -> str | None:
        return max(self._entries, default=None)

    async def read_events(
        self,
        prediction_id: str,
        after_seq: int = 0,
        limit: int = 1000,
        limit_bytes: int | None = None,
        *,
        with_data: bool = True,
    ) -> list[Event]:
        entry = self._entries.get(prediction_id)
        events = [] if entry is None else [event for event in entry.events if event.seq > after_seq]
        found = [event for event in events if with_data or event.kind in LASTING][:limit]
        if limit_bytes is not None:
            sizes = accumulate(len(event.data) for event in found)
            return found[: next((n for n, size in enumerate(sizes, 1) if size >= limit_bytes), len(found))]
        return found

    async def read_log(self, after_offset: int = 0, limit: int = 1000) -> list[Event]:
        return [event for event in self._log if event.offset > after_offset][:limit]

    async def newest_offset(self) -> int:
        return self._log[-1].offset if self._log else 0

    async def changed_between(self, after: int, up_to: int) -> list[str]:
        return list({event.prediction_id: None for event in self._log if after < event.offset <= up_to})

    def _leave(self, entry: Entry) -> None:
        if entry.waits and entry.is_over:
            entry.place = None

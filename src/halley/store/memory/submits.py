"""The submission of predictions to providers that continue without us: `SubmitLedger` over the entries."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from halley.errors import WrongState
from halley.predictions.queue import Lease
from halley.predictions.records import Event, Prediction
from halley.predictions.status import SubmitState
from halley.predictions.submits import COUNTED_TIME, Recorded, SubmitCount, limit_reached, recorded_in
from halley.store.memory.clock import MemoryClock
from halley.store.memory.entries import Entry, at_once
from halley.store.memory.tables import MemoryTables

_EVERY_STATE: Final = frozenset({None, *SubmitState})


class MemorySubmits:
    """Implements SubmitLedger."""

    _clock: MemoryClock
    _submits: dict[str, tuple[str, datetime, str]]
    tables: MemoryTables

    def _predictions(self) -> Iterable[Prediction]:
        """All rows."""
        raise NotImplementedError

    def _held(self, lease: Lease) -> Entry:
        """The entry that the lease holds; raises LeaseLost."""
        raise NotImplementedError

    @at_once
    def record_intent(self, lease: Lease, provider: str, count: SubmitCount | None = None) -> None:
        row = self._held(lease).prediction
        if count is not None and row.submit_state is None and not row.is_terminal:
            at = self._clock.look(count.at)
            seconds = self._seconds_until(provider, at, count.most)
            if count.most is not None and seconds > 0:
                raise limit_reached(provider, count.most, seconds)
            self._submits[row.id] = provider, at, count.place
        self._put_state(lease, {None}, SubmitState.INTENDED)
        entry = self._held(lease)
        entry.prediction = msgspec.structs.replace(entry.prediction, provider=provider)

    @at_once
    def record_handle(self, lease: Lease, handle: str) -> None:
        self._put_state(lease, {SubmitState.INTENDED, SubmitState.SUBMITTED}, SubmitState.SUBMITTED, handle)

    @at_once
    def withdraw_intent(self, lease: Lease) -> None:
        self._put_state(lease, {SubmitState.INTENDED}, None)
        self._submits.pop(lease.prediction_id, None)

    @at_once
    def record_unknown(self, lease: Lease) -> None:
        self._put_state(lease, _EVERY_STATE, SubmitState.UNKNOWN)

    def _recorded(self, prediction: Prediction, events: Iterable[Event]) -> Recorded | None:
        """What is known of its run, for the holder of its next lease."""
        if prediction.submit_state is None:
            return None
        _, _, place = self._submits.get(prediction.id, ("", None, ""))
        return msgspec.structs.replace(recorded_in(events), place=place)

    async def count_submits(self, at: datetime) -> Mapping[str, int]:
        since = self._clock.current(at) - COUNTED_TIME
        return Counter(provider for provider, counted_at, _ in self._submits.values() if counted_at > since)

    async def seconds_until_submit(self, provider: str, count: SubmitCount) -> float:
        return self._seconds_until(provider, self._clock.current(count.at), count.most)

    async def held_handles(self, handles: Sequence[str], *, provider: str | None = None) -> frozenset[str]:
        rows = [row for row in self._predictions() if provider in (None, row.provider)]
        return frozenset(handles).intersection(row.handle for row in rows if row.handle is not None)

    async def count_unknown(self) -> Mapping[str, int]:
        return Counter(row.provider for row in self._unknown())

    async def list_unknown(self, most: int, *, with_settled: bool = False) -> list[Prediction]:
        unknown = self._unknown(with_settled=with_settled)
        return [msgspec.structs.replace(row, input=b"{}", output=None, logs="") for row in unknown[: -most - 1 : -1]]

    def _unknown(self, *, with_settled: bool = False) -> list[Prediction]:
        rows = [row for row in self._predictions() if row.submit_state is SubmitState.UNKNOWN]
        return [row for row in rows if with_settled or row.id not in self.tables.settlements]

    def _seconds_until(self, provider: str, at: datetime, most: int | None) -> float:
        times = sorted(
            when for name, when, _ in self._submits.values() if name == provider and when > at - COUNTED_TIME
        )
        if most is None or len(times) < most:
            return 0.0
        return (times[-most] + COUNTED_TIME - at).total_seconds()

    def _put_state(
        self, lease: Lease, states: Collection[SubmitState | None], state: SubmitState | None, handle: str | None = None
    ) -> None:
        entry = self._held(lease)
        row = entry.prediction
        if row.submit_state not in states or (state is SubmitState.INTENDED and row.is_terminal):
            raise WrongState(f"Prediction {row.id} is {row.status} and its submit state {row.submit_state}.")
        kept = row.handle if handle is None else handle
        entry.prediction = msgspec.structs.replace(row, submit_state=state, handle=kept)

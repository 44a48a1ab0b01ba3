"""Duties of one process at a time: `DutyStore` over one dictionary."""

from datetime import datetime, timedelta

from halley.errors import DutyLost
from halley.predictions.duties import Duty
from halley.store.memory.clock import MemoryClock
from halley.store.memory.entries import at_once
from halley.store.memory.tables import MemoryPart, MemoryTables


class MemoryDuties(MemoryPart):
    """Implements DutyStore. `unfenced` is a planted bug: a former holder of a duty may write forever."""

    _clock: MemoryClock
    _unfenced: bool

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables)
        self._duties = tables.duties

    @at_once
    def hold_duty(
        self, name: str, session_id: str, at: datetime, lease_seconds: float, *, alone: bool = False
    ) -> Duty | None:
        at = self._clock.look(at)
        fence = 1
        if name in self._duties:
            held, until = self._duties[name]
            if until is not None and held.session_id == session_id:
                fence = held.fence
            elif alone or until is None or until <= at:
                fence = held.fence + 1
            else:
                return None
        duty = Duty(name=name, session_id=session_id, fence=fence)
        self._duties[name] = duty, at + timedelta(seconds=lease_seconds)
        return duty

    @at_once
    def renew_duty(self, duty: Duty, at: datetime, lease_seconds: float) -> None:
        at = self._clock.look(at)
        self._check_duty(duty)
        self._duties[duty.name] = duty, at + timedelta(seconds=lease_seconds)

    @at_once
    def release_duty(self, duty: Duty) -> None:
        if self._duties.get(duty.name, (None, None))[0] == duty:
            self._duties[duty.name] = duty, None

    def _check_duty(self, duty: Duty) -> None:
        held, until = self._duties.get(duty.name, (None, None))
        if not self._unfenced and (held != duty or until is None):
            raise DutyLost(f"Session {duty.session_id} with fence {duty.fence} has lost the duty of {duty.name}.")

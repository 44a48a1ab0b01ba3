"""Whether a store in memory accepts writes: only the limits of its queue refuse any."""

from halley.errors import Overloaded, QueueFull, Unusable
from halley.predictions.queue import QueueLimits
from halley.store.memory.tables import MemoryPart


class MemoryHealth(MemoryPart):
    """Implements `store.ports.StoreHealth`."""

    _limits: QueueLimits

    @property
    def broken(self) -> Unusable | None:
        return None

    @property
    def fullness(self) -> str | None:
        try:
            self.check_room("")  # an account without predictions, so that only the limit for all counts
        except (Overloaded, QueueFull) as error:
            return str(error)
        return None

    @property
    def refusals(self) -> int:
        return 0

    async def try_write(self) -> None:
        """Always possible."""

    def check_room(self, account_id: str) -> None:
        """Refuse one more waiting prediction if a limit is reached.

        Raises:
            QueueFull, Overloaded: for this account, for all.
        """
        waiting = [entry.prediction.account_id for entry in self._entries.values() if entry.waits]
        if waiting.count(account_id) >= self._limits.per_account:
            raise QueueFull(f"{self._limits.per_account} predictions of this account wait (limits.queued_per_account).")
        if len(waiting) >= self._limits.total:
            raise Overloaded(f"{self._limits.total} predictions wait (limits.queued_total).")

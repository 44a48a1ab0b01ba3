"""The event log, as pollers read it that look for changes whose hint was lost."""

from typing import Protocol


class ChangeLog(Protocol):
    """The part of the event log that a poll for changes needs (implemented by a store)."""

    async def newest_offset(self) -> int:
        """The offset of the newest fact, 0 if there is none. Offsets follow the order of commits."""
        ...

    async def changed_between(self, after: int, up_to: int) -> list[str]:
        """The predictions of the facts after `after` and up to `up_to`, each once."""
        ...

"""The log of facts, as those read it who look for changes whose hint was lost."""

from typing import Protocol


class ChangeLog(Protocol):
    """The log of facts, as far as a poll for changes needs it (a store fills it)."""

    async def newest_offset(self) -> int:
        """The offset of the newest fact, 0 if there is none. Offsets follow the order of commits."""
        ...

    async def changed_between(self, after: int, up_to: int) -> list[str]:
        """The predictions that facts behind `after` and up to `up_to` are about, each once."""
        ...

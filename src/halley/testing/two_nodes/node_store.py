"""The store as one process sees it: that process can be paused before any call, and can die there."""

import asyncio
from typing import Any, Final, cast

from halley.store.ports import Store

_TELLS: Final = "_and_tell"  # ends the names of calls that return nothing, and tell their outcome


class NodeStore:
    """Forwards calls. A paused process writes later what it decided before; a dead one never does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._gates: dict[str, asyncio.Event] = {}
        self._all = asyncio.Event()
        self._all.set()
        self.held: list[str] = []  # calls that are held back
        self._telling: set[asyncio.Task[Any]] = set()

    def as_store(self) -> Store:
        return cast("Store", self)

    def pause(self) -> None:
        """No call passes until `resume`."""
        self._all.clear()

    def hold(self, name: str) -> None:
        """No call of this method passes until `resume`."""
        self._gates[name] = asyncio.Event()

    def resume(self) -> None:
        """Let all held calls pass."""
        self._all.set()
        for gate in self._gates.values():
            gate.set()
        self._gates = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        plain = name.removesuffix(_TELLS)
        gate = self._gates.get(plain)
        if not callable(method) or (gate is None and self._all.is_set()):
            return method

        async def later(*args: Any, **named: Any) -> Any:
            self.held.append(plain)
            if gate is not None:
                await gate.wait()
            await self._all.wait()
            outcome = method(*args, **named)
            return outcome if name != plain else await outcome

        def begin(*args: Any, **named: Any) -> None:
            task = asyncio.ensure_future(later(*args, **named))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

        return later if name == plain else begin

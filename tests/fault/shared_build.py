"""What the test build adds for several processes on one data folder: who wrote without the duty, and a planted bug."""

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

from halley.app.roles import Node, Role
from halley.dispatch.worker import Worker
from halley.errors import HalleyError
from halley.predictions.duties import Duty
from halley.predictions.status import Fact
from halley.store.sqlite import SqliteStore

SESSION: Final = "session"
LATE: Final = "late"
_FENCE: Final = "SELECT fence FROM duties WHERE name = ?"


def node_of(roles: str) -> Node:
    """The roles that the environment names, on a shared folder; all roles and no sharing if it names none."""
    return Node(roles=frozenset(map(Role, roles.split(","))), is_shared=True) if roles else Node()


def watch_duties(store: SqliteStore, folder: Path) -> None:
    """Write down each write that carries an older fence than that of the stored duty and is accepted all the same."""
    submit = store._writer.submit

    def watched(operation: Any, *args: Any, **callbacks: Any) -> Any:
        duty = next((one for one in args if isinstance(one, Duty)), None)
        if duty is None or operation.__name__ == "_release":  # that one is ignored, not refused
            return submit(operation, *args, **callbacks)
        return submit(_checked, folder / LATE, operation, duty, args, **callbacks)

    store._writer.submit = watched  # type: ignore[method-assign]


def _checked(connection: Any, late: Path, operation: Any, duty: Duty, args: tuple[Any, ...]) -> Any:
    (fence,) = connection.execute(_FENCE, (duty.name,)).fetchone()
    outcome = operation(connection, *args)
    if fence > duty.fence and not isinstance(outcome, HalleyError):
        with late.open("a") as file:
            file.write(f"{operation.__name__} with fence {duty.fence}, but {fence} was given out\n")
    return outcome


def tell_session(store: SqliteStore, folder: Path) -> None:
    """Make the file `session` when the store has taken one."""
    open_session = store.open_session

    async def told(*args: Any, **kwargs: Any) -> None:
        await open_session(*args, **kwargs)
        (folder / SESSION).write_text(str(os.getpid()))

    store.open_session = told  # type: ignore[method-assign,assignment]


def plant_in_worker(planted: frozenset[str]) -> None:
    """A worker that fails what it does not know, instead of leaving it to others."""

    def fail(worker: Any, version: str) -> Awaitable[None]:
        async def each() -> None:
            parts = worker._parts
            for item in await parts.queue.claim(worker._session_id, {version: 9}, parts.clock.now()):
                await parts.queue.finish(item.lease, Fact.FAILED, parts.clock.now(), reason="version_unavailable")

        return each()

    if "fails_unknown" in planted:
        Worker._leave_alone = fail  # type: ignore[method-assign,assignment]

"""One writer thread, and one durable commit for many writes.

All operations that are queued when the writer becomes free share a transaction, so one disk sync serves the whole
batch. Acknowledgements are sent after the commit, all of a batch in one call into the event loop.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

from halley.errors import HalleyError, Overloaded, StorageFull, Unusable

T = TypeVar("T")
Operation = Callable[..., Any]
ManyOf = Callable[[sqlite3.Connection, Sequence[tuple[Any, ...]]], Sequence[Any]]
"""Runs an operation for each of these arguments, in order, and gives the outcomes. It may raise where one could not be
run with the others: then they are run one by one.
"""

BATCH_LIMIT: Final = 512  # limits how long the first of a batch waits for the last

_FULL_CODES: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP}  # ENOSPC in database, log or index
)
# After a failed sync the kernel may have dropped our writes: only a restart, which reads the log, finds the real state.
_BROKEN_CODES: Final = frozenset(
    {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
)


class WriterState(Protocol):
    """State that the writer's operations keep in memory between them."""

    def reload(self, connection: sqlite3.Connection) -> None:
        """Read it again: the remembered state belongs to a failed transaction."""
        ...

    def begin(self, connection: sqlite3.Connection) -> None:
        """A transaction has begun; its operations come next."""
        ...

    def settle(self, connection: sqlite3.Connection) -> None:
        """Write what operations left for the end of their transaction."""
        ...

    def commit(self) -> None:
        """The transaction was committed."""
        ...


class _Locked(Exception):
    """Another process holds the database: nothing was begun, and retrying would not help."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(str(error))
        self.error = error


class _Write(msgspec.Struct):
    operation: Operation
    args: tuple[Any, ...]
    told: Callable[[Any], None]
    committed: Callable[[Any], None] | None
    outcome: Any = None


_operation_of: Final = attrgetter("operation")


class GroupWriter:
    """Runs operations on one connection, in order of `submit`, many to a commit.

    An operation gets the connection and its arguments, and may run more than once: if it raises, its batch is rolled
    back and run again, one operation at a time where needed. A HalleyError that it *returns* (made before anything was
    written) is raised to its caller, and does not affect others.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        state: WriterState,
        *,
        together: Mapping[Operation, ManyOf] | None = None,
        is_shared: bool = False,
        failpoint: Callable[[str], None] | None = None,
        planted: frozenset[str] = frozenset(),
    ) -> None:
        """`together` has the operations that run faster if several follow each other. `is_shared`: others write to the
        same database; the remembered state is read again after their commits.
        """
        self._together = together or {}
        self._is_shared = is_shared
        self._data_version: int | None = None  # changes with every commit of another connection
        self._connection = connection
        self._state = state
        self._failpoint = failpoint
        self._ack_first = "ack_before_commit" in planted  # a planted bug, for the test that must find it
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Write] = deque()
        self._wake = (
            threading.Lock()
        )  # locked: nothing new. A plain lock, because an Event makes a new lock for each wait
        self._wake.acquire()
        self._is_waking = False
        self._told = 0  # how many writes were delivered last
        self._seen = 0  # how many were queued at the end of the turn before
        self._closing = False
        self._broken: Unusable | None = None
        self.refusals = 0  # writes that failed because of the disk or another process
        self._thread = threading.Thread(target=self._work, name="halley-writer", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> Unusable | None:
        """Why nothing can be written any more, if so: the process should end and be started again."""
        return self._broken

    def submit(
        self,
        operation: Callable[..., T | HalleyError],
        *args: Any,
        orphaned: Callable[[T], None] | None = None,
        committed: Callable[[T], None] | None = None,
    ) -> asyncio.Future[T]:
        """Queue an operation; the future is done after its commit. Only from the event loop's thread.

        Cancelling the future does not undo the operation; its result then goes to `orphaned`. `committed` gets the
        result first, in both cases.

        Raises:
            Unusable: the writer was closed.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self.submit_and_tell(operation, *args, told=partial(_resolve, future, orphaned), committed=committed)
        return future

    def submit_and_tell(
        self,
        operation: Callable[..., T | HalleyError],
        *args: Any,
        told: Callable[[T | Exception], None],
        committed: Callable[[T], None] | None = None,
    ) -> None:
        """As `submit`, without a future: the callback gets the result or the error, in the event loop, once.

        It is called for one write after the other, when the loop learns of their commit.
        """
        if self._closing:
            raise Unusable("The database is closed: this server is stopping.")
        self._queue.append(_Write(operation, args, told, committed))
        if not self._is_waking:
            self._is_waking = True
            self._loop.call_soon(self._wake_up)

    def _wake_up(self) -> None:
        """At the end of the loop's turn: so its writes come together, and the threads do not take turns meanwhile.

        Callers that are notified of many commits at once write again soon: turns that bring more writes are waited
        for, at most nine.
        """
        count = len(self._queue)
        if self._seen < count < self._told:
            self._seen, self._told = count, self._told // 2
            self._loop.call_soon(self._wake_up)
            return
        self._seen = self._told = 0
        self._is_waking = False
        self._release()

    def _release(self) -> None:
        if self._wake.locked():
            with suppress(RuntimeError):  # the other thread of `close` and `_wake_up` was faster
                self._wake.release()

    def close(self) -> None:
        """Write what is queued and end the thread. Blocks: call it from another thread than the loop's."""
        self._closing = True
        self._release()
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        queue = self._queue
        while True:
            self._wake.acquire()
            closing = self._closing
            while queue:
                batch = [queue.popleft() for _ in range(min(len(queue), BATCH_LIMIT))]
                self._commit_batch(batch)
                del batch  # an idle writer keeps no references to inputs and futures
            if closing:
                return

    def _commit_batch(self, batch: list[_Write]) -> None:
        if self._broken is None:
            for way in (self._in_one_transaction, self._with_savepoints, self._one_transaction_each):
                try:
                    way(batch)
                    break
                except _Locked as locked:
                    self._refuse_all(batch, locked)
                    break
                except Exception:  # noqa: BLE001 - for any error, the next step finds the operation that failed
                    if not self._undo():
                        break
        if self._broken is not None:
            for write in batch:
                write.outcome = self._broken
        self._loop.call_soon_threadsafe(self._deliver, batch)

    def _in_one_transaction(self, batch: list[_Write]) -> None:
        connection = self._connection
        self._begin()
        for operation, writes in groupby(batch, _operation_of):
            many = self._together.get(operation)
            if many is None:
                for write in writes:
                    write.outcome = operation(connection, *write.args)
            else:
                group = [*writes]
                outcomes = many(connection, [write.args for write in group])
                for write, outcome in zip(group, outcomes, strict=True):
                    write.outcome = outcome
        self._state.settle(connection)
        if self._ack_first:
            self._loop.call_soon_threadsafe(self._deliver, batch.copy())
            batch.clear()  # each is answered once
        self._commit()

    def _with_savepoints(self, batch: list[_Write]) -> None:
        connection = self._connection
        self._begin()
        for write in batch:
            connection.execute("SAVEPOINT one")
            try:
                write.outcome = write.operation(connection, *write.args)
                self._state.settle(connection)
            except Exception as error:  # it belongs to the caller of this operation
                # some errors roll back the whole transaction: the other operations are undone, too
                if not connection.in_transaction:
                    raise
                connection.execute("ROLLBACK TO one")
                self._state.reload(connection)
                write.outcome = self._as_own_error(error)
            connection.execute("RELEASE one")
        self._commit()

    def _one_transaction_each(self, batch: list[_Write]) -> None:
        """The last resort: the commit itself had failed, as on a full disk, where small writes may still fit."""
        for number, write in enumerate(batch):
            try:
                self._all_at_once_quietly(write)
            except _Locked as locked:
                self._refuse_all(batch[number:], locked)
                return
            except Exception as error:  # noqa: BLE001 - as above
                self._undo()
                write.outcome = self._as_own_error(error)

    def _all_at_once_quietly(self, write: _Write) -> None:
        self._begin()
        write.outcome = write.operation(self._connection, *write.args)
        self._state.settle(self._connection)
        self._commit()

    def _refuse_all(self, writes: list[_Write], locked: _Locked) -> None:
        """They have waited long enough: the wait must not add up over the batch."""
        for write in writes:
            write.outcome = self._as_own_error(locked.error)

    def _begin(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if _is_locked(error):
                raise _Locked(error) from error
            raise
        if self._is_shared:
            self._follow_others()
        self._state.begin(self._connection)

    def _follow_others(self) -> None:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._state.reload(self._connection)
            self._data_version = version

    def _commit(self) -> None:
        if self._failpoint is not None:
            self._failpoint("before_commit")
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if error.sqlite_errorcode in _BROKEN_CODES:
                self._break(error)
            raise
        self._state.commit()
        if self._failpoint is not None:
            self._failpoint("after_commit")

    def _undo(self) -> bool:
        """Roll back and read the remembered state again; False if the writer is broken."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._state.reload(self._connection)
        except sqlite3.Error as error:
            self._break(error)
        return self._broken is None

    def _break(self, error: sqlite3.Error) -> None:
        self._broken = Unusable(
            f"The database cannot be written safely any more ({error}). Check the disk and start Halley again."
        )

    def _deliver(self, batch: list[_Write]) -> None:
        self._told = len(batch)
        for write in batch:
            outcome, committed = write.outcome, write.committed
            if committed is not None and not isinstance(outcome, Exception):
                try:
                    committed(outcome)
                except Exception as error:  # noqa: BLE001 - it must not affect what comes after it
                    self._failed(error)
            try:
                write.told(outcome)
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "a callback of a write failed", "exception": error})

    def _as_own_error(self, error: Exception) -> Exception:
        """Our own error if the disk is the reason."""
        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", None)
        if code in _FULL_CODES:
            own: HalleyError = StorageFull(
                "The disk with the database has no room left: nothing was stored. Free some space.",
                retry_after_seconds=10,
            )
        elif _is_locked(error):
            own = Overloaded("The database is locked by another process: nothing was stored. Try again.")
        elif code in _BROKEN_CODES:
            self._break(error)
            own = cast("Unusable", self._broken)
        elif is_disk_fault(error):
            own = Overloaded(f"The disk with the database has a fault, nothing was stored: {error}.")
        else:
            return error
        self.refusals += 1
        own.__cause__ = error
        return own


def is_disk_fault(error: sqlite3.Error) -> bool:
    """Whether the system could not read or write this time: the caller may try again."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def _is_locked(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


def _resolve(future: asyncio.Future[Any], orphaned: Callable[[Any], None] | None, outcome: Any) -> None:
    failed = isinstance(outcome, Exception)
    if not future.done():
        if failed:
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    elif orphaned is not None and future.cancelled() and not failed:
        orphaned(outcome)

"""Looks for the runs of submits without a clear answer, after their predictions have failed: such a run may be paid
for.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Final, NamedTuple, assert_never

import msgspec

from halley.clock import Clock
from halley.dispatch.ports import Work
from halley.dispatch.upstream_hooks import UpstreamHint
from halley.dispatch.upstreams import RunFinder
from halley.errors import HalleyError, ProviderBusy
from halley.predictions.records import Prediction
from halley.predictions.settlements import Settled, SettlementStore
from halley.predictions.status import Status
from halley.predictions.submits import UNKNOWN_REASON

TURN_SECONDS: Final = 30.0
FIRST_PAUSE_SECONDS: Final = 60.0  # between the first two looks for one; each further pause is twice as long
LONGEST_PAUSE_SECONDS: Final = 900.0
AT_ONCE: Final = 5  # predictions of one service in one turn, because a look may read 50 pages of its list
NAMED_LOOKS: Final = 3  # for a run that a webhook names, while the service does not show it, or shows it as another one
_MOST: Final = 100
_MOST_NAMED: Final = 1000  # in one turn; a run that is left out can still be found in the list of its service
_REDACTED: Final = b"[REDACTED]"
_log: Final = logging.getLogger(__name__)


class LatePlace(NamedTuple):
    """A service that can be asked for its runs; `seconds` is how long after the end of a prediction it is asked."""

    name: str
    finder: RunFinder
    seconds: float


class _Name(msgspec.Struct):
    """The run of a prediction, as a webhook names it, and how many more times it is looked for."""

    run: str
    looks: int = NAMED_LOOKS


class LateRuns:
    """Settles a prediction when its provider shows its run later. `turn` is repeated in each worker process: the store
    links at most one prediction.
    """

    def __init__(
        self,
        places: Callable[[], Iterable[LatePlace]],
        store: SettlementStore,
        found: Callable[[str, str, str], Awaitable[Settled]],
        clock: Clock,
    ) -> None:
        """`found` is called with a prediction, its provider, and the id of its run there."""
        self._places = places
        self._store = store
        self._found = found
        self._clock = clock
        self._named: dict[str, _Name] = {}  # by prediction
        self._next: dict[str, tuple[float, float]] = {}  # of a prediction: when to look again, and the pause after that

    def take(self, hint: UpstreamHint) -> None:
        """Take a webhook for an attempt that is over. Most of these are for runs whose end is known already."""
        one, run = hint.place.prediction_id, hint.upstream_id
        if not run or len(self._named) >= _MOST_NAMED or (one in self._named and self._named[one].run == run):
            return
        self._named[one] = _Name(run)
        self._next.pop(one, None)  # it is looked for in the next turn, and then as rarely as others

    async def turn(self) -> None:
        """Wait until the next look is due, and look."""
        await self._clock.sleep(TURN_SECONDS)
        await self.look()

    async def look(self) -> None:
        """Look for the runs that are due. A service that cannot be asked now is asked in a later turn."""
        seen: set[str] = set()
        known = set(self._named)
        for place in self._places():
            since = self._clock.now() - timedelta(seconds=place.seconds)
            rows = await self._store.unclear(place.name, since, _MOST)
            seen.update(row.id for row in rows)
            await self._look_at(place, rows)
        # a webhook arrives once, perhaps while the submit is still being looked up, or the service cannot be asked
        self._named = {one: name for one, name in self._named.items() if one in seen or one not in known}
        self._next = {one: next_look for one, next_look in self._next.items() if one in seen}

    async def _look_at(self, place: LatePlace, rows: list[Prediction]) -> None:
        # the ones that waited longest first: otherwise a few that always fail would keep all others from their turn
        due = sorted((row for row in rows if _is_unknown(row) and self._is_due(row)), key=self._due_at)[:AT_ONCE]
        alike = Counter(_request(row) for row in rows) if due else Counter()
        for row in due:
            self._put_off(row)
            name = self._named.get(row.id)
            # of two equal requests without a clear answer, either may have begun the run
            is_alone = row.handle is not None or name is not None
            if not is_alone and (alike[_request(row)] > 1 or not row.input or _REDACTED in row.input):
                continue
            try:
                handle = await self._run_of(place, row, None if name is None else name.run)
                if handle is not None:
                    await self._found(row.id, place.name, handle)
            except ProviderBusy as error:
                _log.info("%s cannot be asked for the run of %s now: %s", place.name, row.id, error)
                return
            except HalleyError as error:
                _log.info("the run of %s at %s is not looked for: %s", row.id, place.name, error)
            except Exception:  # noqa: BLE001 - an answer that cannot be read must not hide all other runs
                _log.exception("looking for the run of %s at %s broke", row.id, place.name)
            if name is not None:
                self._asked(row, name)

    async def _run_of(self, place: LatePlace, row: Prediction, named: str | None) -> str | None:
        if row.handle is not None:  # the service had lost it
            if getattr(place.finder, "may_share_run_ids", False):  # since an address was changed, it may be another run
                return None
            return row.handle if await place.finder.has_run(row.handle) else None
        work = Work(
            prediction_id=row.id,
            attempt=row.attempts,
            version=row.version,
            model=row.model,
            account_id=row.account_id,
            input=row.input,
            age_seconds=(self._clock.now() - row.created_at).total_seconds(),
        )
        ended_at = row.completed_at or self._clock.now()
        return await place.finder.find_begun(work, (ended_at - row.created_at).total_seconds(), named)

    def _is_due(self, row: Prediction) -> bool:
        return self._due_at(row) <= self._clock.elapsed()

    def _due_at(self, row: Prediction) -> float:
        return self._next.get(row.id, (0.0, 0.0))[0]

    def _asked(self, row: Prediction, name: _Name) -> None:
        """Note a look that did not find the run: a service may show it later than its webhook, or under another id."""
        name.looks -= 1
        if name.looks <= 0 and self._named.get(row.id) is name:
            del self._named[row.id]

    def _put_off(self, row: Prediction) -> None:
        _, pause = self._next.get(row.id, (0.0, FIRST_PAUSE_SECONDS))
        self._next[row.id] = self._clock.elapsed() + pause, min(2 * pause, LONGEST_PAUSE_SECONDS)


def _is_unknown(row: Prediction) -> bool:
    """Whether its outcome is unknown, and its owner expects a result: it was not canceled, nor its data removed."""
    match row.status:
        case Status.FAILED:
            return row.termination_reason == UNKNOWN_REASON and row.data_removed_at is None
        case Status.STARTING | Status.PROCESSING | Status.SUCCEEDED | Status.CANCELED | Status.ABORTED:
            return False
        case _:
            assert_never(row.status)


def _request(row: Prediction) -> bytes:
    """Version and input in one text, which is the same for equal requests; the order of members does not matter."""
    if not row.input:
        return row.id.encode()
    return msgspec.json.encode([row.version, msgspec.json.decode(row.input)], order="sorted")

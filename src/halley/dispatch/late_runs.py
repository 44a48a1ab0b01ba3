"""Looks for runs whose submit had no clear answer, after their predictions have failed: the result may be paid for."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
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
AT_ONCE: Final = 5  # predictions of one service in one turn, because a look may read 20 pages of its list
_MOST: Final = 100
_MOST_NAMED: Final = 1000  # in one turn; a name that is left out costs only this way of finding it
_REDACTED: Final = b"[REDACTED]"
_log: Final = logging.getLogger(__name__)


class LatePlace(NamedTuple):
    """A service that can be asked for its runs, and how long after the end of a prediction that is done."""

    name: str
    finder: RunFinder
    seconds: float


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
        self._named: dict[str, str] = {}  # runs by prediction, as webhooks say
        self._next: dict[str, tuple[float, float]] = {}  # of a prediction: when to look again, and the pause after that

    def take(self, hint: UpstreamHint) -> None:
        """A webhook has come for an attempt that is over: most are for runs whose end was seen before."""
        if hint.upstream_id and len(self._named) < _MOST_NAMED:
            self._named[hint.place.prediction_id] = hint.upstream_id

    async def turn(self) -> None:
        """Wait until the next look is due, and look."""
        await self._clock.sleep(TURN_SECONDS)
        await self.look()

    async def look(self) -> None:
        """Look for what is due. A service that cannot be asked is asked in a later turn."""
        seen: set[str] = set()
        asked: set[str] = set()
        named, self._named = self._named, {}
        for place in self._places():
            since = self._clock.now() - timedelta(seconds=place.seconds)
            rows = await self._store.unclear(place.name, since, _MOST)
            seen.update(row.id for row in rows)
            asked |= await self._look_at(place, rows, named)
        # a service that cannot be asked now, or a submit that is looked for still: the name comes only once
        self._named = {one: run for one, run in named.items() if one in seen - asked} | self._named
        self._next = {one: next_look for one, next_look in self._next.items() if one in seen}

    async def _look_at(self, place: LatePlace, rows: list[Prediction], named: Mapping[str, str]) -> set[str]:
        """Returns the predictions whose runs were asked for."""
        asked: set[str] = set()
        due = [row for row in rows if _is_unknown(row) and (row.id in named or self._is_due(row))][:AT_ONCE]
        alike = Counter(_request(row) for row in rows) if due else Counter()
        for row in due:
            self._put_off(row)
            # of two equal requests without a clear answer, it cannot be said which one began the run
            is_alone = row.handle is not None or row.id in named
            if not is_alone and (alike[_request(row)] > 1 or not row.input or _REDACTED in row.input):
                continue
            try:
                handle = await self._run_of(place, row, named.get(row.id))
                if handle is not None:
                    await self._found(row.id, place.name, handle)
            except ProviderBusy as error:
                _log.info("%s cannot be asked for the run of %s now: %s", place.name, row.id, error)
                return asked
            except HalleyError as error:
                _log.info("the run of %s at %s is not looked for: %s", row.id, place.name, error)
            except Exception:  # noqa: BLE001 - an answer that cannot be read must not hide all other runs
                _log.exception("looking for the run of %s at %s broke", row.id, place.name)
            asked.add(row.id)
        return asked

    async def _run_of(self, place: LatePlace, row: Prediction, named: str | None) -> str | None:
        if row.handle is not None:  # the service had lost it
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
        return self._next.get(row.id, (0.0, 0.0))[0] <= self._clock.elapsed()

    def _put_off(self, row: Prediction) -> None:
        _, pause = self._next.get(row.id, (0.0, FIRST_PAUSE_SECONDS))
        self._next[row.id] = self._clock.elapsed() + pause, min(2 * pause, LONGEST_PAUSE_SECONDS)


def _is_unknown(row: Prediction) -> bool:
    """Whether its owner expects a result; not one that was canceled, or whose data was removed."""
    match row.status:
        case Status.FAILED:
            return row.termination_reason == UNKNOWN_REASON and row.data_removed_at is None
        case Status.STARTING | Status.PROCESSING | Status.SUCCEEDED | Status.CANCELED | Status.ABORTED:
            return False
        case _:
            assert_never(row.status)


def _request(row: Prediction) -> bytes:
    """Stands for version and input, however its members are ordered."""
    if not row.input:
        return row.id.encode()
    return msgspec.json.encode([row.version, msgspec.json.decode(row.input)], order="sorted")

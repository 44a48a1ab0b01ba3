"""Recognises creates that repeat an earlier one without an idempotency key, because a client sent it again.

Two official clients send a create again when its connection broke, without an idempotency key. What can be known:

- One counts its tries in a header. A create whose count is 1 or more repeats an equal create of the same API key, of
  the last 120 s, whose last try had a smaller count: one that was dropped at the try before; otherwise the one with the
  closest count, and of those the newest.
- A client that does not count is recognised by its dropped connection alone: an equal create of the same API key that
  began within 2 s after the drop repeats the dropped one, once.

A create is *in flight* from the end of its body until the last byte of its answer is written or its connection is lost;
during this time it cannot be repeated. It was *dropped* if the peer closed the connection before that last byte was
written; `protocol` reports that. So two equal creates that were both answered, or are both in flight, are two.

Only dropped creates and repeats are remembered, in the loop's thread: an ordinary create costs an entry in a dictionary
while it is in flight. After a restart counts are still used, because the store finds equal creates.

Source: contract sections 5 and 17, D10; docs/decisions/0010-repeated-creates.md.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from types import TracebackType
from typing import Final, Self, assert_never

from halley.api.http.asgi import DeferredResponse, Outcome, Response
from halley.clock import Clock
from halley.errors import CreateInFlight
from halley.predictions.records import Prediction
from halley.predictions.status import Status

Asked = tuple[str | float | None, ...]
"""The caller and the request, without the body."""

ATTEMPT_KEY: Final = "halley.attempt"  # in a request's scope: the protocol calls its `drop` when the connection is lost
COUNTED_SECONDS: Final = 120.0
DROPPED_SECONDS: Final = 2.0
_BODY_SECONDS: Final = 60.0  # a repeat must begin in time, but its body may take longer
_MOST_DROPPED: Final = 2048
_MOST_TRIES: Final = 8192
_KEPT_BODY_BYTES: Final = 4096  # a larger body is not kept for its digest
_WAITING_BODY_BYTES: Final = 512  # the same while its create waits
_FIRST: Final = (0, 0.0)


def _answers_a_repeat(status: Status) -> bool:
    match status:
        case Status.STARTING | Status.PROCESSING | Status.SUCCEEDED | Status.FAILED:
            return True
        case Status.CANCELED | Status.ABORTED:
            return False  # the client repeats it because it wants the prediction to run
        case _:
            assert_never(status)


_ANSWERS: Final = frozenset(filter(_answers_a_repeat, Status))


class Answering:
    """A create that is being answered, as a context manager: until its answer exists, even if that is deferred."""

    __slots__ = ("_is_later",)

    _is_later: bool

    def drop(self) -> None:
        """The peer closed the connection before the last byte of the answer was written.

        This may be called after the end: an answer can be lost after it was written.
        """
        raise NotImplementedError

    def end(self) -> None:
        """It is not in flight any more. Does nothing if repeated."""
        raise NotImplementedError

    def until_answered(self, answer: Response) -> Response:
        """The same answer; if it is deferred, this create is in flight until it is given."""
        if answer.later is not None:
            self._is_later = True
            answer.later = _InFlightUntil(answer.later, self)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_later:
            self.end()


class _InFlightUntil:
    """A deferred answer, and the create that is in flight until then. Implements `asgi.DeferredResponse`."""

    __slots__ = ("_answering", "_give", "_later")

    def __init__(self, later: DeferredResponse, answering: Answering) -> None:
        self._later = later
        self._answering = answering
        self._give: Callable[[Outcome], None] | None = None

    def park(self, give: Callable[[Outcome], None]) -> None:
        self._give = give
        self._later.park(self._given)

    def answer_now(self) -> None:
        self._later.answer_now()

    def leave(self) -> None:
        self._later.leave()
        self._answering.end()

    def _given(self, outcome: Outcome) -> None:
        self._answering.end()
        if self._give is not None:
            self._give(outcome)


class CreateAttempt(Answering):
    """One create without a key. Call `settle` as soon as the prediction of its answer is known."""

    __slots__ = (
        "_asked",
        "_body",
        "_digest",
        "_known",
        "_repeats",
        "begun_at",
        "count",
        "is_dropped",
        "is_settled",
        "prediction_id",
    )

    def __init__(
        self,
        repeats: "Repeats",
        asked: Asked,
        body: bytes,
        count: int | None,
        begun_at: float,
        prediction_id: str | None = None,
    ) -> None:
        """With a prediction, it is in flight until `end`."""
        self._is_later = prediction_id is not None
        self._repeats = repeats
        self._asked = asked
        self._body = body if len(body) <= _KEPT_BODY_BYTES else blake2b(body).digest()
        self._digest: bytes | None = None
        self._known: asyncio.Event | None = None
        self.count = count
        self.begun_at = begun_at
        self.prediction_id = prediction_id
        self.is_settled = False
        self.is_dropped = False

    def digest(self) -> bytes:
        """Of the caller and the request. The body is released."""
        if self._digest is None:
            asked = repr(self._asked).encode()
            self._digest = blake2b(asked + b"\0" + self._body, digest_size=16).digest()
            self._asked, self._body = (), b""
        return self._digest

    def claim(self, prediction_id: str) -> None:
        """It is about to be answered with this prediction, which is in flight from now on."""
        if self.prediction_id is not None:
            self._repeats.take_from_flight(self)
        self.prediction_id = prediction_id
        self._repeats.put_in_flight(prediction_id, self)

    def settle(self, prediction_id: str | None) -> None:
        """The prediction exists, or (None) none was created."""
        if self.is_settled:
            return
        self.is_settled = True
        self.prediction_id = prediction_id
        if self._known is not None:
            self._known.set()

    async def outcome(self) -> str | None:
        """The prediction of this create's answer, once that is known; None if there is none."""
        if not self.is_settled:
            self._known = self._known or asyncio.Event()
            await self._known.wait()
        return self.prediction_id

    def drop(self) -> None:
        if not self.is_dropped:
            self.is_dropped = True
            self._repeats.note_dropped(self)

    def end(self) -> None:
        self._repeats.take_from_flight(self)
        if not self.is_settled:
            self.settle(None)

    def until_answered(self, answer: Response) -> Response:
        if answer.later is not None and not self._is_later:
            self.defer()
            answer.later = _InFlightUntil(answer.later, self)
        return answer

    def defer(self) -> None:
        """It is in flight until `end`, even if that comes after its context."""
        self._is_later = True
        if len(self._body) > _WAITING_BODY_BYTES:  # thousands may wait: none of them keeps a larger body
            self.digest()


class KeyInUse(Answering):
    """A create under an idempotency key."""

    __slots__ = ("_held", "_place")

    def __init__(self, held: "dict[tuple[str, str], KeyInUse]", place: tuple[str, str]) -> None:
        self._is_later = False
        self._held = held
        self._place = place

    def drop(self) -> None:
        self.end()  # the next create with this key need not wait for our answer

    def end(self) -> None:
        if self._held.get(self._place) is self:
            del self._held[self._place]


class Repeats:
    """Remembers what is in flight, what was dropped, and how often repeats were tried. Lives in the loop's thread.

    All of that is known for this server only: `predictions.repeats.RepeatStore` says what that means with several. A
    key that is in flight at another server is not refused here: the store gives both creates the same prediction.
    """

    def __init__(self, clock: Clock, *, is_on: bool = True) -> None:
        self._clock = clock
        self.is_on: Final = is_on
        self._keys: dict[tuple[str, str], KeyInUse] = {}
        self._in_flight: dict[str, CreateAttempt] = {}
        self._dropped: dict[bytes, list[tuple[float, CreateAttempt]]] = {}
        # all of `_dropped`, oldest first; some may have been removed there
        self._drops: deque[tuple[float, bytes]] = deque()
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()  # prediction -> last count, and when

    def use_key(self, account_id: str, key: str) -> KeyInUse:
        """Begin to answer a create with this idempotency key.

        Raises:
            CreateInFlight: another create with it is being answered.
        """
        place = (account_id, key)
        if place in self._keys:
            raise CreateInFlight(
                "A create with this Idempotency-Key is still being answered on another connection. "
                "Wait for that answer, or repeat the request afterwards: it then returns the same prediction."
            )
        used = self._keys[place] = KeyInUse(self._keys, place)
        return used

    def begin(self, *, asked: Asked, body: bytes, count: int | None, begun_at: float) -> CreateAttempt:
        """Register a create whose body has arrived. `asked` identifies the caller and the request; `count` is the
        client's.
        """
        return CreateAttempt(self, asked, body, count, begun_at)

    def begin_in_flight(
        self, prediction_id: str, *, asked: Asked, body: bytes, count: int | None, begun_at: float
    ) -> CreateAttempt:
        """As `begin`, `claim` and `defer`, for a create that repeats no other one."""
        attempt = self._in_flight[prediction_id] = CreateAttempt(self, asked, body, count, begun_at, prediction_id)
        if len(body) > _WAITING_BODY_BYTES:
            attempt.defer()
        return attempt

    async def dropped(self, attempt: CreateAttempt) -> str | None:
        """The prediction of a dropped create that this one repeats. It is not repeated a second time."""
        if not self.may_repeat(attempt.count, attempt.begun_at):
            return None
        self._expire()
        while (earlier := self._take_dropped(attempt)) is not None:
            prediction_id = await earlier.outcome()
            if prediction_id is not None:
                return prediction_id
        return None

    def may_repeat(self, count: int | None, begun_at: float) -> bool:
        """Whether such a create may be a repeat, so that a look-up is useful; quick, because every create calls it."""
        if not self.is_on or count == 0:
            return False
        # one that does not count repeats only what was dropped a moment ago
        return count is not None or (bool(self._dropped) and begun_at <= self._drops[-1][0] + DROPPED_SECONDS)

    def is_counted(self, attempt: CreateAttempt) -> bool:
        """Whether the client says that this is a repeat, so that the store must be asked for equal creates."""
        return self.is_on and attempt.count is not None and attempt.count > 0

    def counted(self, attempt: CreateAttempt, equal: Sequence[Prediction]) -> str | None:
        """Choose the prediction that a counting create repeats, from equal ones, newest first.

        It is the one whose last try is closest before this one: otherwise calls that retry at the same time could take
        each other's predictions, until one of them finds none.
        """
        count = attempt.count or 0
        free = [row.id for row in equal if may_answer(row) and row.id not in self._in_flight]
        tried = [(self._last_try(prediction_id), prediction_id) for prediction_id in free]
        before = [one for one in tried if one[0] < count]
        if not before:
            return None
        _, chosen = max(before, key=lambda one: one[0])  # the first of equals: the newest
        self._forget_drop(attempt.digest(), chosen)
        return chosen

    def note_dropped(self, attempt: CreateAttempt) -> None:
        """See `Answering.drop`."""
        self.take_from_flight(attempt)
        if not self.is_on or (attempt.is_settled and attempt.prediction_id is None):
            return
        if self._last_try(attempt.prediction_id) > (attempt.count or 0):
            return  # its answer was lost after it was written, and meanwhile another create got the prediction
        now, digest = self._clock.monotonic(), attempt.digest()
        self._dropped.setdefault(digest, []).append((now, attempt))
        self._drops.append((now, digest))
        self._expire()

    def put_in_flight(self, prediction_id: str, attempt: CreateAttempt) -> None:
        """See `CreateAttempt.claim`."""
        self._in_flight[prediction_id] = attempt
        if attempt.count:
            self._note_try(prediction_id, attempt.count)

    def take_from_flight(self, attempt: CreateAttempt) -> None:
        """Its answer was sent, or never will be."""
        prediction_id = attempt.prediction_id
        if prediction_id is not None and self._in_flight.get(prediction_id) is attempt:
            del self._in_flight[prediction_id]

    def _last_try(self, prediction_id: str | None) -> int:
        return 0 if prediction_id is None else self._tries.get(prediction_id, _FIRST)[0]

    def _note_try(self, prediction_id: str, count: int) -> None:
        now = self._clock.monotonic()
        self._tries[prediction_id] = count, now
        self._tries.move_to_end(prediction_id)
        while len(self._tries) > _MOST_TRIES or next(iter(self._tries.values()))[1] < now - COUNTED_SECONDS:
            self._tries.popitem(last=False)

    def _take_dropped(self, attempt: CreateAttempt) -> CreateAttempt | None:
        most = DROPPED_SECONDS if attempt.count is None else COUNTED_SECONDS
        wanted = None if attempt.count is None else attempt.count - 1
        drops = self._dropped.get(attempt.digest(), [])
        for drop in drops:
            dropped_at, earlier = drop
            if earlier.count == wanted and dropped_at <= attempt.begun_at <= dropped_at + most:
                self._keep_drops(attempt.digest(), [one for one in drops if one is not drop])
                return earlier
        return None

    def _forget_drop(self, digest: bytes, prediction_id: str) -> None:
        drops = self._dropped.get(digest, [])
        self._keep_drops(digest, [one for one in drops if one[1].prediction_id != prediction_id])

    def _keep_drops(self, digest: bytes, drops: list[tuple[float, CreateAttempt]]) -> None:
        if drops:
            self._dropped[digest] = drops
        else:
            self._dropped.pop(digest, None)

    def _expire(self) -> None:
        too_old = self._clock.monotonic() - COUNTED_SECONDS - _BODY_SECONDS
        while self._drops and (self._drops[0][0] < too_old or len(self._drops) > _MOST_DROPPED):
            dropped_at, digest = self._drops.popleft()
            self._keep_drops(digest, [drop for drop in self._dropped.get(digest, ()) if drop[0] > dropped_at])


def may_answer(row: Prediction) -> bool:
    """Whether a repeat may be answered with it: not if it was canceled or removed."""
    return row.status in _ANSWERS and row.data_removed_at is None

"""Polls a prediction on any server until it has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from halley.cli.client import Json, PollResult
from halley.cli.failures import ServerRefused, StillRunning, Unreachable
from halley.cli.outputs import lacks_output
from halley.cli.timing import Backoff, Timing

TERMINAL: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})
HOLD_SECONDS: Final = 20.0  # intermediaries cut silent answers at 60 s, some at 30
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 10.0
OUTPUT_SECONDS: Final = 10.0  # some gateways report "succeeded" before they have the output
STATUSES: Final = frozenset({"starting", "processing", *TERMINAL})
MAX_FAILURES: Final = 8  # failed reads in a row; with growing pauses about two minutes


class ReadsPredictions(Protocol):
    """The method of a client that polling needs."""

    def look(self, id: str, *, wait_seconds: float = 0) -> PollResult:
        """Read the prediction once."""
        ...


def is_terminal(prediction: Json) -> bool:
    """Whether nothing will change any more."""
    return prediction.get("status") in TERMINAL


class WatchTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long to watch, from `started` (otherwise from now; monotonic clock), and how long a read may be held."""

    timeout_seconds: float | None = None
    hold_seconds: float = HOLD_SECONDS
    started: float | None = None


def watch(
    client: ReadsPredictions,
    id: str,
    *,
    timing: Timing,
    on_look: Callable[[Json], None],
    times: WatchTimes = WatchTimes(),  # noqa: B008 - frozen
    created: Json | None = None,
    on_trouble: Callable[[str], None] | None = None,
    is_settled: Callable[[], bool] | None = None,
) -> Json:
    """Read a prediction repeatedly until it is terminal, and return it.

    The first read is plain; later ones ask the server to hold them (`Prefer: wait`). A server that does this, as shown
    by `Preference-Applied` or by the time it took, is asked again at once; any other one is polled with growing pauses
    and jitter, which start again after a change. `on_look` receives every read. A broken connection is retried for a
    while; `on_trouble` is called for the first failed read in a row. `created` is the answer to the create, if known. A
    prediction that succeeded without output is read for another `OUTPUT_SECONDS`, unless `is_settled` says that this
    server never delivers the output later. A status that the API does not define is reported through `on_trouble`, and
    polling continues.

    Raises:
        StillRunning: `times.timeout_seconds` have passed.
        Unreachable: the server did not answer for too long.
        ServerRefused: the server refuses the request.
    """
    limit = _TimeLimit(id, timing, times)
    reader = _Reader(client, id, limit, on_trouble or (lambda _: None))
    ends = _Ends(timing, is_settled or (lambda: False))
    backoff = Backoff(timing, start=FIRST_PAUSE_SECONDS, factor=1.5, top=LONGEST_PAUSE_SECONDS)
    wait_seconds, last = 0.0, created
    if created is not None and ends.is_over(created):
        return created
    while True:
        look = reader.read(wait_seconds, is_known=last is not None)
        on_look(look.prediction)
        if ends.is_over(look.prediction):
            return look.prediction
        reader.check_status(look.prediction)
        if last is None or _changed(last, look.prediction):
            backoff.reset()
        last = look.prediction
        if not _was_held(look, wait_seconds):
            # a server that needs long for an answer is not asked more often than that
            pause = max(backoff.next_seconds(), look.elapsed_seconds * 0.1)
            limit.sleep(pause, "It succeeded, but its output has not arrived." if is_terminal(look.prediction) else "")
        wait_seconds = max(1.0, min(times.hold_seconds, limit.left()))


class _TimeLimit:
    """How long a prediction is watched."""

    def __init__(self, id: str, timing: Timing, times: WatchTimes) -> None:
        self._id = id
        self.timing = timing
        self._started = timing.monotonic() if times.started is None else times.started
        self._seconds = times.timeout_seconds

    def left(self, why: str = "") -> float:
        """The seconds that are left.

        Raises:
            StillRunning: none; `why` goes into the message.
        """
        if self._seconds is None:
            return float("inf")
        left = self._started + self._seconds - self.timing.monotonic()
        if left <= 0:
            passed = f"{self._seconds:.3g}" if self._seconds < 100 else f"{self._seconds:.0f}"  # never as 1.2e+03
            raise StillRunning(
                f"Prediction {self._id} has not ended after {passed} s.{f' {why}' if why else ''}",
                hint=f"It keeps running; `halley predictions watch {self._id}` follows it again.",
            )
        return left

    def sleep(self, seconds: float, why: str = "") -> None:
        """Sleep, but not beyond the limit. Raises as `left` does."""
        self.timing.sleep(min(seconds, self.left(why)))
        self.left(why)


class _Reader:
    """Reads a prediction; a connection that breaks is tried again for a while."""

    def __init__(self, client: ReadsPredictions, id: str, limit: _TimeLimit, on_trouble: Callable[[str], None]) -> None:
        self._client = client
        self._id = id
        self._limit = limit
        self._on_trouble = on_trouble
        self._pause = Backoff(limit.timing, start=1.0)
        self._strange: str | None = None  # the last status, if the API does not know it

    def read(self, wait_seconds: float, *, is_known: bool) -> PollResult:
        """Read once. `is_known`: the prediction exists, so that an error may pass."""
        for broken in range(1, MAX_FAILURES + 1):
            try:
                look = self._client.look(self._id, wait_seconds=wait_seconds)
            except (Unreachable, ServerRefused) as error:
                if _may_pass(error):
                    self._limit.left(str(error))
                if broken == MAX_FAILURES or not is_known or not _may_pass(error):
                    raise
                if broken == 1:
                    self._on_trouble(str(error))
                self._limit.sleep(self._pause.next_seconds(), str(error))
            else:
                self._pause.reset()
                return look
        raise AssertionError("the loop returns or raises")  # pragma: no cover

    def check_status(self, prediction: Json) -> None:
        """Report a status that the API does not have, once in a row."""
        status = str(prediction.get("status"))
        if status not in STATUSES and status != self._strange:
            self._on_trouble(f"The server sent a status that is not in the API: {status!r}.")
        self._strange = status


class _Ends:
    """Decides when nothing more will come."""

    def __init__(self, timing: Timing, is_settled: Callable[[], bool]) -> None:
        self._timing = timing
        self._is_settled = is_settled
        self._since: float | None = None  # when it was first seen to have succeeded without output

    def is_over(self, prediction: Json) -> bool:
        """Whether nothing will change any more, or the wait for the output has been long enough."""
        if not is_terminal(prediction) or not lacks_output(prediction):
            return is_terminal(prediction)
        if self._since is None:
            self._since = self._timing.monotonic()
        return self._timing.monotonic() - self._since >= OUTPUT_SECONDS or self._is_settled()


def _may_pass(error: Unreachable | ServerRefused) -> bool:
    return isinstance(error, Unreachable) or error.status >= 500 or error.status == 429


def _was_held(look: PollResult, wait_seconds: float) -> bool:
    # The header alone is not enough: a server that echoes it without waiting would be polled in a tight loop.
    return wait_seconds > 0 and look.elapsed_seconds >= wait_seconds * (0.5 if look.held else 0.8)


def _changed(last: Json, now: Json) -> bool:
    return any(last.get(key) != now.get(key) for key in ("status", "logs", "output"))

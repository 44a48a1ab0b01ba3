"""Follows a prediction to its end: by the server's event log if it has one, otherwise by polling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from halley.cli.client import Json
from halley.cli.failures import NoEventLog, ServerRefused, Unreachable
from halley.cli.outputs import lacks_output
from halley.cli.timing import Backoff, Timing
from halley.cli.watching import HOLD_SECONDS, MAX_FAILURES, TERMINAL, ReadsPredictions, WatchTimes, is_terminal, watch

EVENTS_LOOKED_AT: Final = 100_000  # read to find its end; a longer log counts as not ended
REASON_SECONDS: Final = 0.5  # between two reads of the reason why it waits
LAST_SECONDS: Final = 16.0  # before a time limit: a stream may be silent for 15 s, a read shows the present state


class FollowsEvents(ReadsPredictions, Protocol):
    """The methods of a client that following needs."""

    timing: Timing

    def events(self, id: str, *, after: int = 0) -> Iterator[Json | None]:
        """Follow the event log; see the client."""
        ...


class ProgressReceiver(Protocol):
    """Receives what happens to the prediction."""

    def hear(self, event: Json) -> None:
        """Receive the next event of the log."""
        ...

    def show(self, prediction: Json) -> None:
        """Receive the whole prediction, as read."""
        ...


class Following:
    """Follows one prediction to its end. It may be interrupted (Ctrl+C) and continued."""

    def __init__(
        self,
        client: FollowsEvents,
        id: str,
        audience: ProgressReceiver,
        *,
        on_trouble: Callable[[str], None],
        timeout_seconds: float | None = None,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self._client = client
        self._id = id
        self._audience = audience
        self._on_trouble = on_trouble
        self._hold_seconds = hold_seconds
        self._timeout_seconds = timeout_seconds
        self._started = client.timing.monotonic()
        self._after = 0
        self._has_log = True  # as far as is known
        self._heard = False  # at least one event came from the log
        self._has_ended = False  # according to the log

    def to_the_end(self, known: Json | None) -> Json:
        """Return the prediction once it has ended. `known` is the last answer.

        Raises:
            StillRunning: the time limit has passed.
            Unreachable: the server did not answer for too long.
            ServerRefused: the server refuses the request.
        """
        if known is not None and is_terminal(known) and not lacks_output(known):
            return known
        if self._has_log:
            try:
                self._until_it_begins(known)
                self._over_the_log()
            except NoEventLog:
                self._has_log = False
        return watch(
            self._client,
            self._id,
            timing=self._client.timing,
            on_look=self._audience.show,
            times=WatchTimes(
                timeout_seconds=self._timeout_seconds, started=self._started, hold_seconds=self._hold_seconds
            ),
            created=known,
            on_trouble=self._on_trouble,
            is_settled=self._is_settled,
        )

    def _until_it_begins(self, known: Json | None) -> None:
        """Poll while the prediction has not begun, to report why it waits; the log has no events for that."""
        while known is not None and known.get("status") == "starting" and not self._is_short():
            try:
                known = self._client.look(self._id).prediction
            except (Unreachable, ServerRefused):
                return  # the log is tried again as usual
            reason = known.get("starting_reason")
            if not reason or known.get("status") != "starting":
                return
            # only the reason: its logs, of a lost attempt for example, come from the log
            self._audience.show({"id": self._id, "status": "starting", "starting_reason": reason})
            self._client.timing.sleep(REASON_SECONDS)

    def is_missing_output(self, final: Json) -> bool:
        """Whether it succeeded without an output, on a server that may still deliver one."""
        return lacks_output(final) and not self._is_settled()

    def _is_settled(self) -> bool:
        """Whether no output will come any more: a server with an event log stores it before "succeeded"."""
        if self._has_log and not self._has_ended:
            try:
                for event in islice(self._client.events(self._id), EVENTS_LOOKED_AT):
                    if event is not None and self._is_end(event):
                        break
            except NoEventLog:
                self._has_log = False
            except Unreachable:
                pass
        return self._has_ended

    def _is_end(self, event: Json) -> bool:
        self._has_ended |= event["event"] == "status" and event["data"].get("status") in TERMINAL
        return self._has_ended

    def _over_the_log(self) -> None:
        """Follow the log until the prediction has ended, or the time limit is near. A broken connection is resumed
        silently.
        """
        timing = self._client.timing
        pause = Backoff(timing, start=0.2, top=10.0)
        broken = 0
        while not self._is_short():
            before = self._after
            try:
                if self._hear():
                    return
                reason = "The event stream ended early."
            except Unreachable as error:
                reason = str(error)
            if self._after > before:
                broken = 0
                pause.reset()
            broken += 1
            if broken == 2:
                if not self._heard:
                    return  # no event arrives at all: something between client and server holds them back
                self._on_trouble(reason)
            if broken >= MAX_FAILURES:
                return  # the next read shows what is wrong
            timing.sleep(pause.next_seconds())

    def _hear(self) -> bool:
        """Receive events; True once the prediction has ended."""
        for event in self._client.events(self._id, after=self._after):
            self._heard = True
            if event is not None:
                self._after = event["seq"]
                self._audience.hear(event)
                if self._is_end(event):
                    return True
            if self._is_short():
                return True
        return False

    def _is_short(self) -> bool:
        gone = self._client.timing.monotonic() - self._started
        return self._timeout_seconds is not None and self._timeout_seconds - gone < LAST_SECONDS

"""Waits for a prediction at the terminal: handles Ctrl+C, and reports problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from halley.cli.client import Json
from halley.cli.failures import OutputMissing, Unreachable
from halley.cli.following import Following, FollowsEvents
from halley.cli.progress import ProgressDisplay, Stream
from halley.cli.screen import Screen
from halley.cli.watching import HOLD_SECONDS, is_terminal

LIVE_HOLD_SECONDS = 1.0  # at a terminal: changes are shown at least this soon, even if the server holds answers


class Cancels(FollowsEvents, Protocol):
    """The methods of a client that waiting needs."""

    def cancel(self, id: str) -> Json:
        """Cancel it; a prediction that has ended is unchanged."""
        ...


class Interrupted(Exception):
    """Ctrl+C ended the command; the message has been shown."""


def connection_reporter(screen: Screen) -> Callable[[str], None]:
    """Return a function that reports on stderr that a connection broke and is retried."""
    return lambda reason: screen.note(f"  {reason} Trying again ...")


def wait_for(
    client: Cancels,
    screen: Screen,
    id: str,
    *,
    created: Json | None,
    stream: Stream | None = None,
    logs: bool = True,
    timeout_seconds: float | None = None,
    cancel_on_interrupt: bool,
) -> tuple[Json, bool]:
    """Wait until the prediction has ended; returns it, and whether its output was already written to stdout.

    The first Ctrl+C cancels (if requested) and waits for the end, a second one ends the command at once.

    Raises:
        Interrupted: the user pressed Ctrl+C; the prediction may continue.
        StillRunning: the time limit has passed.
        Unreachable: the server did not answer for too long.
        OutputMissing: it succeeded, and no output came for a while.
    """
    progress = ProgressDisplay(screen, stream=stream, logs=logs)
    following = Following(
        client,
        id,
        progress,
        timeout_seconds=timeout_seconds,
        hold_seconds=LIVE_HOLD_SECONDS if screen.err_is_terminal or stream else HOLD_SECONDS,
        on_trouble=connection_reporter(screen),
    )
    canceling = False
    known = created
    while True:
        try:
            if canceling and known is not None and not is_terminal(known):
                known = client.cancel(id)
            final = following.to_the_end(known)
        except KeyboardInterrupt:
            if canceling or not cancel_on_interrupt:
                what = "Its cancellation was not confirmed" if canceling else "It keeps running"
                screen.note(f"Left prediction {id}. {what}; `halley predictions watch {id}` follows it.")
                raise Interrupted from None
            screen.note(f"Canceling {id} (Ctrl+C again leaves at once) ...")
            canceling = True
            known = known or {"id": id, "status": "starting"}
        except Unreachable as error:
            if not canceling:
                raise
            hint = f"It may still be running; `halley predictions cancel {id}` cancels it when the server is back."
            raise Unreachable(f"Prediction {id} could not be canceled: {error}", hint=hint) from error
        else:
            progress.show(final)
            screen.clear_status()
            if progress.streamed and stream == "text":
                screen.out()
            if following.is_missing_output(final):
                raise OutputMissing(final)
            return final, progress.streamed

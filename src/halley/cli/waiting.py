"""Waiting for a prediction at the terminal: what Ctrl+C means, and what to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from halley.cli.client import Json
from halley.cli.failures import OutputMissing, Unreachable
from halley.cli.following import Following, Follows
from halley.cli.progress import ProgressDisplay, Stream
from halley.cli.screen import Screen
from halley.cli.watching import HOLD_SECONDS, is_terminal

LIVE_HOLD_SECONDS = 1.0  # at a terminal: news are shown this soon, also if the server holds answers


class Cancels(Follows, Protocol):
    """What waiting needs of a client."""

    def cancel(self, id: str) -> Json:
        """Cancel it; what is over stays as it is."""
        ...


class Interrupted(Exception):
    """Ctrl+C ended the command; the message has been shown."""


def trouble_teller(screen: Screen) -> Callable[[str], None]:
    """Give what says on stderr that a connection broke and is tried again."""
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
    """Wait until the prediction is over; give it, and whether its output went to stdout already.

    The first Ctrl+C cancels (if asked to) and waits for the end, a second one leaves at once.

    Raises:
        Interrupted: the user left; the prediction may keep running.
        StillRunning: the time is over.
        Unreachable: the server stayed away.
        OutputMissing: it succeeded, and no output came for a while.
    """
    progress = ProgressDisplay(screen, stream=stream, logs=logs)
    following = Following(
        client,
        id,
        progress,
        timeout_seconds=timeout_seconds,
        hold_seconds=LIVE_HOLD_SECONDS if screen.err_is_terminal or stream else HOLD_SECONDS,
        on_trouble=trouble_teller(screen),
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

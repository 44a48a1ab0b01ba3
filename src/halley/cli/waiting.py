"""Waiting for a prediction at the terminal: what Ctrl+C means, and what to say."""

from __future__ import annotations

from halley.cli.client import Client, Json
from halley.cli.failures import Unreachable
from halley.cli.progress import Progress
from halley.cli.screen import Screen
from halley.cli.watching import HOLD_SECONDS, is_terminal, watch

LIVE_HOLD_SECONDS = 1.0  # somebody watches: what is new is shown this soon, also where the server holds answers


class Interrupted(Exception):
    """Ctrl+C ended the command; the message has been shown."""


def wait_for(
    client: Client,
    screen: Screen,
    id: str,
    *,
    created: Json | None,
    stream_text: bool = False,
    logs: bool = True,
    timeout_seconds: float | None = None,
    cancel_on_interrupt: bool,
) -> tuple[Json, bool]:
    """Wait until the prediction is over; give it, and whether its text went to stdout already.

    The first Ctrl+C cancels (if asked to) and waits for the end, a second one leaves at once.

    Raises:
        Interrupted: the user left; the prediction may go on.
        StillRunning: the time is over.
        Unreachable: the server stayed away.
    """
    progress = Progress(screen, stream_text=stream_text, logs=logs)
    hold = LIVE_HOLD_SECONDS if screen.err_is_terminal or stream_text else HOLD_SECONDS
    canceling = False
    known = created
    while True:
        try:
            if canceling and known is not None and not is_terminal(known):
                known = client.cancel(id)
            final = watch(
                client,
                id,
                timing=client.timing,
                on_look=progress.show,
                timeout_seconds=timeout_seconds,
                hold_seconds=hold,
                created=known,
                on_trouble=lambda reason: screen.note(f"  {reason} Trying again ..."),
            )
        except KeyboardInterrupt:
            if canceling or not cancel_on_interrupt:
                what = "Its cancellation was not confirmed" if canceling else "It goes on"
                screen.note(f"Left prediction {id}. {what}; `halley predictions watch {id}` follows it.")
                raise Interrupted from None
            screen.note(f"Canceling {id} (Ctrl+C again leaves at once) ...")
            canceling = True
            known = known or {"id": id, "status": "starting"}
        except Unreachable as error:
            if not canceling:
                raise
            hint = f"It may go on; `halley predictions cancel {id}` cancels it when the server is back."
            raise Unreachable(f"Prediction {id} could not be canceled: {error}", hint=hint) from error
        else:
            progress.show(final)
            screen.clear_status()
            if progress.streamed:
                screen.out()
            return final, progress.streamed

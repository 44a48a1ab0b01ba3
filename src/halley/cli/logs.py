"""Prints the logs of a prediction exactly as they are, each part once."""

from __future__ import annotations

from halley.cli.client import Json
from halley.cli.screen import Screen


class LogPrinter:
    """Receives events or whole predictions, and prints the new part of the logs."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._printed = 0  # characters

    def hear(self, event: Json) -> None:
        """Receive an event of the log."""
        if event["event"] in {"logs", "attempt_lost"}:
            self._print(str(event["data"].get("text") or ""))

    def show(self, prediction: Json) -> None:
        """Receive a whole prediction."""
        self._print(str(prediction.get("logs") or "")[self._printed :])

    def _print(self, text: str) -> None:
        if text:
            self._screen.out(text, end="")
            self._printed += len(text)

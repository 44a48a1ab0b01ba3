"""Printing the logs of a prediction exactly as they are, once each."""

from __future__ import annotations

from halley.cli.client import Json
from halley.cli.screen import Screen


class LogPrinter:
    """Takes events or whole readings, and prints of them what is new in the logs."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._printed = 0  # characters

    def hear(self, event: Json) -> None:
        """Take an event of the log."""
        if event["event"] in {"logs", "attempt_lost"}:
            self._print(str(event["data"].get("text") or ""))

    def show(self, prediction: Json) -> None:
        """Take a reading."""
        self._print(str(prediction.get("logs") or "")[self._printed :])

    def _print(self, text: str) -> None:
        if text:
            self._screen.out(text, end="")
            self._printed += len(text)

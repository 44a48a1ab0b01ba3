"""Checks the health of an idle process: it is pinged, and must answer in time."""

from collections.abc import Callable
from typing import Final

from halley.replicas import frames
from halley.replicas.host import Host


class HealthCheck:
    """Pings one process, if it is idle: a busy process may be in C code that holds the interpreter lock, and
    predictions have their own limits.

    Only an idle one: a busy process may be in C code that holds the interpreter lock, and predictions have their own
    limits.
    """

    def __init__(self, host: Host, send: Callable[[bytes], None]) -> None:
        self._host: Final = host
        self._send: Final = send
        self.model_has_check = False  # the model defines `healthcheck`
        self._unanswered: tuple[int, float] | None = None  # number of ended predictions, and the time of the ping

    def reset(self) -> None:
        """The process answered or is busy: no answer is expected."""
        self._unanswered = None

    def ping(self, ended: int) -> str | None:
        """Ping the process, or return the fault if the last ping was not answered in time.

        `ended` is the number of predictions that have ended in it: a run since the last ping may have delayed the
        answer.
        """
        now, rules = self._host.clock.monotonic(), self._host.rules
        if self._unanswered is None or self._unanswered[0] != ended:
            self._unanswered = (ended, now)
            self._send(frames.encode(frames.PingFrame(n=ended)))
            if self.model_has_check:
                self._send(frames.encode(frames.HealthcheckFrame(n=ended)))
            return None
        if now - self._unanswered[1] < rules.health_timeout_seconds:
            return None
        seconds = f"{rules.health_timeout_seconds:g} s (runs.health_timeout_seconds)"
        return f"its idle process did not answer for {seconds}"

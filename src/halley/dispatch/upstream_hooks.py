"""Webhooks of services elsewhere: addresses of this server for them, and what arrives there, as hints.

A webhook is never a source of truth. It makes a poller ask the service at once; a lost one costs a poll's interval.
"""

from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

import msgspec

EVENTS: Final = ("start", "output", "logs", "completed")
NAMED: Final = 4  # ids that one address may name: a service sends one


class UpstreamHint(msgspec.Struct, frozen=True, kw_only=True):
    """What arrived at the address of one attempt. Its token is checked; the body may say anything."""

    prediction_id: str
    attempt: int
    upstream_id: str = ""  # as the body says; "" if it says none
    has_ended: bool = False  # as the body says


class Hook:
    """The address of one attempt for the webhooks of its service, and what has arrived there."""

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self.named: list[str] = []  # ids of runs there, as the bodies say
        self.has_arrived = False
        self.says_end = False  # a body said so: the service may still show it late
        self._listeners: list[Callable[[], None]] = []

    def listen(self, on_hint: Callable[[], None]) -> None:
        """Call this at each hint from now on, and at once if one has arrived before."""
        if on_hint not in self._listeners:
            self._listeners.append(on_hint)
        if self.has_arrived:
            on_hint()

    def leave(self, on_hint: Callable[[], None]) -> None:
        """Do not call this any more."""
        self._listeners.remove(on_hint)

    def take(self, hint: UpstreamHint) -> None:
        """A hint for this attempt."""
        self.has_arrived = True
        self.says_end |= hint.has_ended
        if hint.upstream_id and hint.upstream_id not in self.named and len(self.named) < NAMED:
            self.named.append(hint.upstream_id)
        for on_hint in tuple(self._listeners):
            on_hint()


class UpstreamHooks:
    """The addresses of all attempts that this process submits or follows.

    An address is open as long as its provider holds the `Hook`. A webhook for any other attempt goes to `on_late`: also
    one that reaches a process without the worker that follows the run, which is polled.
    """

    def __init__(self, address: Callable[[str, int], str] | None = None) -> None:
        """`address` makes the URL for a prediction and an attempt; None: no service can reach this server."""
        self.address: Final = address
        self.on_late: Callable[[UpstreamHint], None] = _nothing  # called with hints for attempts that are over
        self._open: WeakValueDictionary[tuple[str, int], Hook] = WeakValueDictionary()

    def open(self, prediction_id: str, attempt: int) -> Hook | None:
        """The address of this attempt; the same one each time, while anybody holds it."""
        if self.address is None:
            return None
        key = (prediction_id, attempt)
        hook = self._open.get(key)
        if hook is None:
            hook = self._open[key] = Hook(self.address(prediction_id, attempt))
        return hook

    def receive(self, hint: UpstreamHint) -> None:
        """Something arrived at one of the addresses."""
        hook = self._open.get((hint.prediction_id, hint.attempt))
        if hook is None:
            self.on_late(hint)
        else:
            hook.take(hint)


def _nothing(_: UpstreamHint) -> None:
    pass

"""Webhooks from services elsewhere: the addresses of this server for them, and what arrives there.

A webhook is only a hint. It makes a poller ask the service at once; if one is lost, the next poll finds the change.
"""

from collections.abc import Callable
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import msgspec

EVENTS: Final = ("start", "output", "logs", "completed")
NAMED: Final = 4  # different ids that are accepted at one address; a service sends one


class HookPlace(NamedTuple):
    """What an address is for. An attempt may be submitted to more than one provider: each has its own address."""

    prediction_id: str
    attempt: int
    provider: str


class UpstreamHint(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that arrived at an address. Its token was checked; its body may say anything."""

    place: HookPlace
    upstream_id: str = ""  # as the body says; "" if it says none
    has_ended: bool = False  # as the body says


class Hook:
    """An address for the webhooks of one service about one attempt, and what has arrived there."""

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
        """A hint for this address."""
        self.has_arrived = True
        self.says_end |= hint.has_ended
        if hint.upstream_id and hint.upstream_id not in self.named and len(self.named) < NAMED:
            self.named.append(hint.upstream_id)
        for on_hint in tuple(self._listeners):
            on_hint()


class ProviderHooks:
    """The addresses of one provider. `on_arrival` is called at each webhook for any of them, also after its run."""

    def __init__(self, provider: str, opened: Callable[[HookPlace], Hook]) -> None:
        self._provider = provider
        self._opened = opened
        self.on_arrival: Callable[[], None] = _nothing

    def open(self, prediction_id: str, attempt: int) -> Hook:
        """The address for an attempt of a prediction; the same one each time, while it is in use."""
        return self._opened(HookPlace(prediction_id, attempt, self._provider))


class UpstreamHooks:
    """The addresses of all attempts that this process submits or follows.

    An address is open as long as its provider holds the `Hook`. A webhook for any other one goes to `on_late`: also one
    that reaches a process without the worker that follows the run, which is polled.
    """

    def __init__(self, address: Callable[[HookPlace], str]) -> None:
        """`address` makes the URL."""
        self._address = address
        self.on_late: Callable[[UpstreamHint], None] = _nothing  # called with hints for attempts that are over
        self._open: WeakValueDictionary[HookPlace, Hook] = WeakValueDictionary()
        self._providers: dict[str, ProviderHooks] = {}

    def of(self, provider: str) -> ProviderHooks:
        """The addresses of this provider, from now on in place of those that an earlier one of its name had."""
        made = self._providers[provider] = ProviderHooks(provider, self._opened)
        return made

    def _opened(self, place: HookPlace) -> Hook:
        hook = self._open.get(place)
        if hook is None:
            hook = self._open[place] = Hook(self._address(place))
        return hook

    def receive(self, hint: UpstreamHint) -> None:
        """Something arrived at one of the addresses."""
        if (provider := self._providers.get(hint.place.provider)) is not None:
            provider.on_arrival()
        hook = self._open.get(hint.place)
        if hook is None:
            self.on_late(hint)
        else:
            hook.take(hint)


def _nothing(*_: object) -> None:
    pass

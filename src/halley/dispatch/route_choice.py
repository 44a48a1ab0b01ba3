"""Takes slots for one version that may run at several places, and remembers which provider each slot belongs to."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from halley.dispatch.ports import HeldSlot
from halley.dispatch.weighted_round_robin import Turn, WeightedRoundRobin
from halley.settings import LOCAL


class Chooser(Protocol):
    """Knows the places of versions (implemented by `RoutedProviders`)."""

    def order(self, version: str) -> Iterator[HeldSlot]:
        """The providers that may take the next run of a version, the preferred one first."""
        ...

    def turns(self, version: str) -> WeightedRoundRobin | None:
        """The turns of its route; None: the route has an order."""
        ...

    def held(self, version: str) -> HeldSlot:
        """The provider of a slot that was taken."""
        ...

    def other_has_free_slot(self, version: str, name: str) -> bool:
        """Whether another provider than this one has a free slot."""
        ...

    def other_may_accept(self, version: str, name: str) -> bool:
        """Whether another provider than this one may accept a run, now or later."""
        ...

    def only_adopts(self, version: str) -> bool:
        """Whether the version may only adopt runs that began earlier, and begin no new ones."""
        ...

    def began(self, version: str, name: str) -> None:
        """A run of the version begins at this provider."""
        ...

    def gave_up(self, version: str, name: str) -> None:
        """A run of the version that was about to begin at this provider did not begin."""
        ...


class _Others(NamedTuple):
    """Implements `ports.OtherPlaces`."""

    chooser: Chooser
    version: str
    name: str

    def have_free_slot(self) -> bool:
        return self.chooser.other_has_free_slot(self.version, self.name)

    def may_accept(self) -> bool:
        return self.chooser.other_may_accept(self.version, self.name)


class _Taken(NamedTuple):
    """A slot that was taken, and the turn that this took. `only_adopts`: no run begins with it."""

    slot: HeldSlot
    turns: WeightedRoundRobin | None
    turn: Turn | None
    only_adopts: bool


class RouteChoice:
    """Implements `ports.SlotSource` for a version with several places."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self._taken: deque[_Taken] = deque()

    def __bool__(self) -> bool:
        """Whether slots are held that no run has yet."""
        return bool(self._taken)

    def next_held(self) -> HeldSlot:
        """The slot that was taken first; there is one."""
        return self._taken.popleft().slot

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        for slot in self._chooser.order(version):
            slot.provider.request_capacity(version, alone=alone)

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        turns = self._chooser.turns(version)
        order = self._chooser.order(version)
        for slot in order:
            if self._takes(slot, version, is_weighted=turns is not None, alone=alone):
                turn = None if turns is None else Turn(slot.name, (slot.name, *(other.name for other in order)))
                self._take(version, slot, turns, turn)
                return True
        return False

    def _takes(self, slot: HeldSlot, version: str, *, is_weighted: bool, alone: bool) -> bool:
        """Take a slot of this provider; if it has none, request capacity there and try again.

        Runs do not wait for these providers, so nothing else requests their capacity, and the next provider of the
        route would get all runs. In a route with an order, runs do wait for this machine. `is_weighted`: the route has
        weights.
        """
        if slot.provider.take_slot(version, alone=alone):
            return True
        if self._taken or (slot.name == LOCAL and not is_weighted):
            return False
        slot.provider.request_capacity(version, alone=alone)
        return slot.provider.take_slot(version, alone=alone)

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        if not self._taken:  # the slot was taken before the version had several places
            self._chooser.held(version).provider.drop_slot(version, alone=alone)
            return
        slot, turns, turn, only_adopts = self._taken.pop()
        slot.provider.drop_slot(version, alone=alone)
        if not only_adopts:
            self._chooser.gave_up(version, slot.name)
        if turns is not None and turn is not None:
            turns.give_back(turn)

    def _take(self, version: str, slot: HeldSlot, turns: WeightedRoundRobin | None, turn: Turn | None) -> None:
        others = _Others(self._chooser, version, slot.name)
        only_adopts = self._chooser.only_adopts(version)
        self._taken.append(_Taken(slot._replace(others=others), turns, turn, only_adopts))
        if not only_adopts:  # an adoption must not count as the one probe of a half-open breaker
            self._chooser.began(version, slot.name)
        if turns is not None and turn is not None:
            turns.take(turn)

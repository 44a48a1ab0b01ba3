"""Chooses the provider of each run by its route: by order or weight, by health, and by the queue of this machine."""

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from halley.dispatch.breaker import Breaker
from halley.dispatch.ports import HeldSlot, Provider, SlotSource
from halley.dispatch.route_choice import RouteChoice
from halley.dispatch.route_table import ModelRoutes
from halley.dispatch.submit_quota import CountedSubmits
from halley.dispatch.submit_record import SubmitRecord
from halley.dispatch.upstreams import UpstreamProvider
from halley.dispatch.weighted_round_robin import WeightedRoundRobin
from halley.models.catalog import Catalog
from halley.settings import LOCAL, RouteSettings

_ADOPTS: Final = "no route leads there: what runs there is followed, none begins"


class LocalPlace(Provider, Protocol):
    """The provider of this machine, and what a route may ask of it."""

    def serves(self, version: str) -> bool:
        """Whether it has the files of this version."""
        ...

    def is_loaded(self, version: str) -> bool:
        """Whether it has processes."""
        ...


class UpstreamPlace(NamedTuple):
    """A service elsewhere, with its circuit breaker, its limit of submits, and the record of its submits."""

    upstream: UpstreamProvider
    breaker: Breaker
    quota: CountedSubmits | None = None
    record: SubmitRecord | None = None


class RouteVerdict(NamedTuple):
    """Whether a provider would take the next run of a version, and why; its weight, if the route has weights.

    `detail` is what the service said about another request, for operators only: it may concern another account.
    `may_probe`: only its limit of submits is reached. It may still get a slot: runs there may wait to be adopted.
    `is_full`: it has no free slot, so another provider of the route gets the run if it has one. `is_unready`: it gets
    one only after something else than the end of a run, such as the setup of its model.
    """

    provider: str
    takes: bool
    why: str
    weight: int | None = None
    detail: str = ""
    may_probe: bool = False
    is_full: bool = False
    is_unready: bool = False


class RoutedProviders:
    """Implements `ports.ProviderRouter` by a table of routes. `places` may be replaced while the server runs."""

    def __init__(self, catalog: Catalog, table: ModelRoutes, *, local: LocalPlace) -> None:
        self._catalog = catalog
        self._table = table
        self._local = local
        self._here_slot = HeldSlot(LOCAL, local)
        self.places: Mapping[str, UpstreamPlace] = {}
        self.former: dict[str, UpstreamProvider] = {}  # not configured any more, but some of their runs may continue
        self._waiting: Mapping[str, int] = {}
        self._left: dict[str, int] = {}  # by version: how many of those have begun since
        self._choices: dict[str, RouteChoice] = {}
        self._turns: dict[str, WeightedRoundRobin] = {}  # by pattern, of routes with weights
        self._broken: dict[str, str] = {}  # versions that cannot run on this machine, and why
        self._broken_at: dict[str, set[str]] = {}  # by version: the services that cannot run it
        self.on_capacity: Callable[[str], None] = _nothing
        self.on_broken: Callable[[str, str, str], None] = _nothing

    def listen(self, *, on_capacity: Callable[[str], None], on_broken: Callable[[str, str, str], None]) -> None:
        """Set the callbacks for capacity and for versions that no provider can run; call it first."""
        self.on_capacity = on_capacity
        self.on_broken = on_broken

    # dispatch.ports.ProviderRouter

    def of(self, version: str) -> SlotSource:
        if not self.places and not self._choices:
            return self._local
        choice = self._choice(version)
        return self._local if choice is None else choice

    def held(self, version: str) -> HeldSlot:
        choice = self._choices.get(version)
        return choice.next_held() if choice else self._here_slot

    def named(self, name: str) -> Provider | None:
        if name == LOCAL:
            return self._local
        place = self.places.get(name)
        return self.former.get(name) if place is None else place.upstream

    def note_waiting(self, waiting: Mapping[str, int]) -> None:
        self._waiting, self._left = waiting, {}

    def _queue_length(self, version: str) -> int:
        return max(self._waiting.get(version, 0) - self._left.get(version, 0), 0)

    # calls of the providers

    def on_local_capacity(self, version: str) -> None:
        """This machine may have a slot for the version."""
        self._broken.pop(version, None)
        self.on_capacity(version)

    def on_local_broken(self, version: str, error: str, reason: str) -> None:
        """The version cannot run on this machine; another provider may take it."""
        if self._lacks_provider(version):
            return  # its provider is not configured now; if it is configured again, its runs are adopted
        if not self._upstreams(version):
            self.on_broken(version, error, reason)
            return
        self._broken[version] = error
        self.on_capacity(version)

    def on_upstream_capacity(self, name: str, version: str) -> None:
        """This service may have a slot for the version."""
        self._broken_at.get(version, set()).discard(name)
        self.on_capacity(version)

    def on_upstream_broken(self, name: str, version: str, error: str, reason: str) -> None:
        """The version cannot run at this service. Predictions fail only if no other provider may run it."""
        broken = self._broken_at.setdefault(version, set())
        broken.add(name)
        others = self._others(version, broken)
        if not any(self._runs_here(version) if one == LOCAL else one in self.places for one in others):
            self.on_broken(version, error, reason)

    def forget_broken(self) -> None:
        """The providers or routes have changed: a service may be able to run what it could not."""
        self._broken_at.clear()

    def _others(self, version: str, names: Container[str]) -> list[str]:
        """The providers of the version's route without these."""
        runnable = self._catalog.by_id(version)
        route = None if runnable is None else self._table.find(runnable.version.model)
        return [] if route is None else [one for one in route.settings.places if one not in names]

    # choices

    def order(self, version: str) -> Iterator[HeldSlot]:
        """The providers that may take the next run of a version, the preferred one first."""
        if (former := self._former(version)) is not None:  # nothing is submitted: no limit of submits matters
            if self._as_it_is(former, self.places[former]).takes:
                yield HeldSlot(former, self.places[former].upstream)
            return
        turns = self.turns(version)
        found: list[HeldSlot] = []
        suspect: list[tuple[float, HeldSlot]] = []
        full: list[HeldSlot] = []  # by their limit of submits
        for verdict in self.verdicts(version):
            slot = self._slot_at(verdict.provider) if verdict.takes or verdict.may_probe else None
            if slot is None:
                continue
            if verdict.may_probe:
                full.append(slot)
            elif (place := self.places.get(slot.name)) is not None and place.breaker.has_failed_recently:
                suspect.append((place.breaker.suspect_until, slot))
            elif turns is None:
                yield slot
            else:
                found.append(slot)
        if turns is not None:
            yield from _by_weight(turns, found)
        yield from (slot for _, slot in sorted(suspect, key=_until))
        if turns is None or not (found or suspect):  # otherwise they would gain turns that they cannot use
            yield from full

    def next_place(self, version: str) -> str | None:
        """The provider that would get a run of the version now: the first with a free slot, else the first that the
        run would wait for.
        """
        names = [slot.name for slot in self.order(version)]
        full = {verdict.provider for verdict in self.verdicts(version) if verdict.is_full}
        return next((name for name in names if name not in full), next(iter(names), None))

    def _slot_at(self, name: str) -> HeldSlot | None:
        place = self.places.get(name)
        if place is not None:
            return HeldSlot(name, place.upstream, place.quota, place.record)
        provider = self.named(name)
        return None if provider is None else HeldSlot(name, provider)

    def verdicts(self, version: str) -> Iterator[RouteVerdict]:
        """Whether each provider of the version's route would take its next run, in the order of the route."""
        runnable = self._catalog.by_id(version)
        if runnable is None:
            return
        route = self._table.find(runnable.version.model)
        if (former := self._former(version)) is not None:
            verdict = self._as_it_is(former, self.places[former])
            yield verdict._replace(why=_ADOPTS) if verdict.takes else verdict
            return
        if route is None:  # nor is there the provider that the version comes from
            yield self.elsewhere(runnable.version.provider)
            return
        weights = route.settings.weights
        for name in route.settings.places:
            verdict = self._here(version, route.settings) if name == LOCAL else self._there(version, name)
            yield verdict._replace(weight=None if weights is None else weights.get(name))
            is_waited_for = name == LOCAL and not weights and not self._spills_over(version, route.settings)
            if verdict.takes and is_waited_for:
                return

    def turns(self, version: str) -> WeightedRoundRobin | None:
        """The turns of the version's route; None: its route has an order, or it has none."""
        runnable = self._catalog.by_id(version)
        route = None if runnable is None else self._table.find(runnable.version.model)
        if route is None or not (weights := route.settings.weights):
            return None
        turns = self._turns.get(route.pattern)
        if turns is None or turns.weights != weights:
            turns = self._turns[route.pattern] = WeightedRoundRobin(weights)
        return turns

    def other_has_free_slot(self, version: str, name: str) -> bool:
        """Whether another provider than this one has a free slot for the version."""
        return any(slot.name != name and slot.provider.free_slots(version) > 0 for slot in self.order(version))

    def other_may_accept(self, version: str, name: str) -> bool:
        """Whether another provider than this one may accept a run of the version, now or later."""
        others = self._others(version, (name,))
        return any(self._runs_here(version) if one == LOCAL else self._may_accept(version, one) for one in others)

    def _may_accept(self, version: str, name: str) -> bool:
        place = self.places.get(name)
        return place is not None and (place.record is None or place.record.why_refused(version) is None)

    def only_adopts(self, version: str) -> bool:
        """Whether the version may only adopt runs that began earlier, and begin no new ones."""
        return self._former(version) is not None

    def began(self, version: str, name: str) -> None:
        """A run of the version begins at this place."""
        self._left[version] = self._left.get(version, 0) + 1
        if (place := self.places.get(name)) is not None:
            place.breaker.begin()

    def gave_up(self, version: str, name: str) -> None:
        """A run of the version that was about to begin at this place did not begin."""
        self._left[version] = max(self._left.get(version, 0) - 1, 0)
        if (place := self.places.get(name)) is not None:
            place.breaker.give_up()

    def why_waiting(self, version: str) -> str | None:
        """Why no provider takes a run of this version now; None if one does, or if it runs on this machine only."""
        if not self._upstreams(version) and not self._lacks_provider(version):
            return None
        verdicts = list(self.verdicts(version))
        if any(verdict.takes and not verdict.is_unready for verdict in verdicts):
            return None
        return "; ".join(f"{verdict.provider}: {verdict.why}" for verdict in verdicts)

    def _here(self, version: str, route: RouteSettings) -> RouteVerdict:
        if not self._local.serves(version):
            return RouteVerdict(LOCAL, takes=False, why="this machine has no such model")
        if version in self._broken:
            return RouteVerdict(LOCAL, takes=False, why=f"it cannot run on this machine: {self._broken[version]}")
        is_loaded = self._local.is_loaded(version)
        if route.spill_over_unloaded and not is_loaded:
            return RouteVerdict(LOCAL, takes=False, why="the model is not loaded on this machine")
        waiting = self._queue_length(version)
        if self._spills_over(version, route):
            why = f"if a slot is free here: {waiting} predictions of the model wait"
        else:
            why = "the model is loaded" if is_loaded else "the model is loaded on demand"
        return RouteVerdict(LOCAL, takes=True, why=why, is_full=not self._local.free_slots(version))

    def _spills_over(self, version: str, route: RouteSettings) -> bool:
        most = route.spill_over_queue
        return most is not None and self._queue_length(version) >= most

    def _there(self, version: str, name: str) -> RouteVerdict:
        record = None if (place := self.places.get(name)) is None else place.record
        if record is not None and (why := record.why_refused(version)) is not None:
            return RouteVerdict(name, takes=False, why=why, detail=record.refusal_text(version))
        return self.elsewhere(name)

    def elsewhere(self, name: str) -> RouteVerdict:
        """Whether a service elsewhere would take a run now."""
        place = self.places.get(name)
        if place is None:
            return RouteVerdict(name, takes=False, why="no provider of this name is configured")
        verdict = self._as_it_is(name, place)
        if place.quota is None or (why := place.quota.why_not()) is None:
            return verdict
        return RouteVerdict(name, takes=False, why=why, may_probe=verdict.takes and place.quota.may_probe)

    def _as_it_is(self, name: str, place: UpstreamPlace) -> RouteVerdict:
        """Whether it would take a run, apart from its limit of submits."""
        if not place.breaker.may_begin():
            seconds = place.breaker.pause_seconds
            when = f"it is tried again in {seconds:.0f} s" if seconds else "another run tries whether it answers again"
            return RouteVerdict(name, takes=False, why=f"it did not answer: {when}")
        if place.record is not None and (why := place.record.retries.why_not()) is not None:
            return RouteVerdict(name, takes=False, why=why)
        report = place.upstream.report()
        if report.paused_seconds > 0:
            return RouteVerdict(name, takes=False, why=f"it asked for a pause of {report.paused_seconds:.0f} s more")
        if report.waits_for:
            why = f"as soon as it is ready: {report.waits_for}"
            return RouteVerdict(name, takes=True, why=why, is_full=True, is_unready=True)
        if report.in_flight >= report.slots:
            why = f"as soon as one of its {report.slots} runs is over"
            return RouteVerdict(name, takes=True, why=why, is_full=True)
        if (bucket := report.bucket) is not None and bucket.left is not None and bucket.reset_seconds is not None:
            left = f"it allows {bucket.left} submits in the next {bucket.reset_seconds:.0f} s"
            return RouteVerdict(name, takes=True, why=f"{report.in_flight} of {report.slots} runs; {left}")
        return RouteVerdict(name, takes=True, why=f"{report.in_flight} of {report.slots} runs")

    def limited(self, version: str) -> Mapping[str, CountedSubmits]:
        """The submit limits of the places that a version may run at, if all of them have one; otherwise empty."""
        if not self.places:
            return {}
        if not any(place.quota is not None and place.quota.most is not None for place in self.places.values()):
            return {}
        route = self._table.find(runnable.version.model) if (runnable := self._catalog.by_id(version)) else None
        may_run_here = route is not None and LOCAL in route.settings.places and self._runs_here(version)
        quotas = {name: self.places[name].quota for name in self._upstreams(version) if name in self.places}
        found = {name: quota for name, quota in quotas.items() if quota is not None and quota.most is not None}
        return {} if may_run_here or len(found) < len(quotas) else found

    def _runs_here(self, version: str) -> bool:
        return self._local.serves(version) and version not in self._broken

    def _choice(self, version: str) -> RouteChoice | None:
        choice = self._choices.get(version)
        if not self._upstreams(version):
            # slots that were taken before the routes changed go back to their providers
            return choice or None
        if choice is None:
            choice = self._choices[version] = RouteChoice(self)
        return choice

    def _upstreams(self, version: str) -> tuple[str, ...]:
        """The services elsewhere that a version may run at."""
        if not self.places:
            return ()
        runnable = self._catalog.by_id(version)
        if runnable is None:
            return ()
        if (former := self._former(version)) is not None:
            return (former,)
        route = self._table.find(runnable.version.model)
        return () if route is None else route.upstreams

    def _lacks_provider(self, version: str) -> bool:
        """Whether the service that a version comes from is not configured any more."""
        runnable = self._catalog.by_id(version)
        return runnable is not None and runnable.version.provider not in (LOCAL, *self.places)

    def _former(self, version: str) -> str | None:
        """The service that a version comes from, if no route leads to a service any more: it may have runs there."""
        runnable = self._catalog.by_id(version)
        if runnable is None or runnable.version.provider not in self.places:
            return None
        route = self._table.find(runnable.version.model)
        return runnable.version.provider if route is None or not route.upstreams else None


def _until(suspect: tuple[float, HeldSlot]) -> float:
    return suspect[0]


def _by_weight(turns: WeightedRoundRobin, slots: list[HeldSlot]) -> list[HeldSlot]:
    by_name = {slot.name: slot for slot in slots}
    return [by_name[name] for name in turns.order(by_name)]


def _nothing(*_: str) -> None:
    pass

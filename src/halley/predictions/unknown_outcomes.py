"""Settles predictions whose outcome at a service elsewhere is unknown, by another prediction of the same owner.

The first keeps its terminal status; the second has the same webhook, and ends as its run does.
"""

import logging
from collections.abc import Collection
from typing import Final, Protocol

import msgspec

from halley.clock import Clock
from halley.errors import Conflict, InputInvalid, InvalidField, NotFound, WrongState
from halley.ids import NewId
from halley.models.catalog import Catalog
from halley.predictions.hints import Bus, Changed, WorkWaits
from halley.predictions.inputs import InputCheck
from halley.predictions.ports import InputFile, NewPrediction, PredictionStore, SubmitLimits
from halley.predictions.records import Prediction
from halley.predictions.settlements import Settled, SettledHow, SettlementStore
from halley.predictions.status import SubmitState

_log: Final = logging.getLogger(__name__)
_HANDLE_LENGTH: Final = 200
_HAS_SECRETS: Final = (
    "Prediction {} cannot be submitted again: its input has secrets, which are not kept after its end. Create a new one"
    " with them."
)
_REMOVED: Final = "Prediction {} cannot be submitted again: its input was removed. Create a new one."


class UnknownStore(PredictionStore, SettlementStore, Protocol):
    """Predictions, and the links between them."""


class RunLookup(Protocol):
    """Knows the services elsewhere (implemented by `app` over their providers)."""

    def names(self) -> Collection[str]:
        """The names of the configured services. No I/O."""
        ...

    async def has_run(self, provider: str, upstream_id: str) -> bool:
        """Whether the service has a run of this id; True if it cannot tell.

        Raises:
            ProviderBusy: it cannot be asked now.
        """
        ...

    async def other_model(self, provider: str, upstream_id: str, version: str) -> str | None:
        """The model of this run, as its service names it, if it is another one than the version's; None if it can be
        the same, or if the service cannot tell.

        Raises:
            ProviderBusy: it cannot be asked now.
        """
        ...


class RetryCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Decides whether a prediction may be submitted again."""

    inputs: InputCheck
    submit_limits: SubmitLimits | None = None


class UnknownOutcomes:
    """The ways to settle an unknown outcome. Together they make at most one prediction: the first one wins."""

    def __init__(
        self,
        *,
        store: UnknownStore,
        catalog: Catalog,
        retry_check: RetryCheck,
        services: RunLookup,
        bus: Bus,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._retry_check = retry_check
        self._services = services
        self._bus = bus
        self._clock = clock
        self._new_id = new_id

    async def adopt(self, prediction_id: str, upstream_id: str, provider: str | None = None) -> Settled:
        """Follow this run of the provider, which a person has named, to its end. Nothing is submitted.

        Raises:
            NotFound: there is no such prediction.
            WrongState: its outcome is not unknown.
            Conflict: it was settled in another way, or the run is that of another prediction.
            InputInvalid: there is no such provider, or it has no such run, or the run is of another model.
            VersionUnknown: its version has no route any more.
            ProviderBusy: the provider cannot be asked now.
            QueueFull, Overloaded, StorageFull: nothing was stored.
        """
        first = await self._first(prediction_id)
        name = provider or first.provider
        if (settled := await self._settled(first, "adopted", name, upstream_id)) is not None:
            return settled
        await self._check_run(first, name, upstream_id)
        await self._catalog.find(first.version)
        return await self._settle(first, "adopted", self._adopting(first, name, upstream_id))

    async def retry(self, prediction_id: str) -> Settled:
        """A person accepts that it may be paid for twice: submit it again. See `adopt`.

        Raises as `adopt` does, and:
            WrongState: its input is not complete any more.
            InputInvalid: its input cannot be used any more.
            SubmitLimitReached: no provider may get another one now.
        """
        first = await self._first(prediction_id)
        if (settled := await self._settled(first, "retried")) is not None:
            return settled
        if first.data_removed_at is not None:
            raise WrongState(_REMOVED.format(first.id))
        runnable = await self._catalog.find(first.version)
        inputs, limits = self._retry_check.inputs, self._retry_check.submit_limits
        found = await inputs.look(runnable, first.input)
        if found.shown is not None:
            raise WrongState(_HAS_SECRETS.format(first.id))
        inputs.refuse(runnable, found)
        if limits is not None:
            await limits.check(first.version)
        files = await inputs.own_files(first.account_id, found)
        new = msgspec.structs.replace(self._continuing(first), provider=runnable.version.provider)
        return await self._settle(first, "retried", new, files)

    async def found(self, prediction_id: str, provider: str, upstream_id: str) -> Settled:
        """Its provider shows the run now: follow that to its end, unless a person has settled it. Raises as `adopt`."""
        first = await self._first(prediction_id)
        settled = await self._settle(first, "found", self._adopting(first, provider, upstream_id))
        if settled.is_new:
            linked_id = settled.settlement.linked_id
            _log.warning("%s: its run was found at %s; %s follows it", prediction_id, provider, linked_id)
        return settled

    async def _first(self, prediction_id: str) -> Prediction:
        first = await self._store.get(prediction_id)
        if first is None:
            raise NotFound(f"There is no prediction {prediction_id}")
        if not first.is_terminal or first.submit_state is not SubmitState.UNKNOWN:
            raise WrongState(f"The outcome of prediction {prediction_id} is not unknown.")
        return first

    async def _check_run(self, first: Prediction, provider: str, upstream_id: str) -> None:
        names = self._services.names()
        if provider not in names:
            known = f"the providers are: {', '.join(sorted(names))}" if names else "this server has none"
            raise _invalid("provider", f"there is no provider {provider[:100]!r}; {known}")
        if not 0 < len(upstream_id) <= _HANDLE_LENGTH or not await self._services.has_run(provider, upstream_id):
            raise _invalid("upstream_id", f"{provider} has no prediction {upstream_id[:100]!r}")
        if (other := await self._services.other_model(provider, upstream_id, first.version)) is not None:
            # an adoption cannot be undone, and its owner would get the output of another run
            raise _invalid("upstream_id", f"{upstream_id!r} at {provider} is a run of {other}, not of {first.model}")

    async def _settled(
        self, first: Prediction, how: SettledHow, provider: str | None = None, upstream_id: str | None = None
    ) -> Settled | None:
        """How it was settled before, if that is what is wanted now.

        Raises:
            Conflict: it was settled in another way.
        """
        known = (await self._store.settlements([first.id])).get(first.id)
        if known is None:
            return None
        if how == "retried":
            is_same = known.how == how
        else:
            linked = await self._store.outline(known.linked_id)
            is_same = (
                known.how != "retried"
                and linked is not None
                and (linked.provider, linked.handle) == (provider, upstream_id)
            )
        if is_same:
            return Settled(settlement=known, is_new=False)
        raise Conflict(f"Prediction {first.id} was settled before ({known.how}): {known.linked_id} continues it.")

    async def _settle(
        self, first: Prediction, how: SettledHow, new: Prediction, files: tuple[InputFile, ...] = ()
    ) -> Settled:
        settled = await self._store.settle(first.id, NewPrediction(prediction=new, files=files), how)
        if settled.is_new:
            self._bus.publish(Changed(first.id))
            self._bus.publish(WorkWaits(new.version))
            return settled
        # another request was faster
        return await self._settled(first, how, new.provider, new.handle) or settled

    def _adopting(self, first: Prediction, provider: str, upstream_id: str) -> Prediction:
        new = self._continuing(first)
        return msgspec.structs.replace(new, provider=provider, handle=upstream_id, submit_state=SubmitState.SUBMITTED)

    def _continuing(self, first: Prediction) -> Prediction:
        """A prediction of the same request. It has no deadline, and no client waits for it."""
        return Prediction(
            id=self._new_id(),
            account_id=first.account_id,
            key_id=first.key_id,
            kind=first.kind,
            model=first.model,
            version=first.version,
            deployment=first.deployment,
            input=first.input,
            source=first.source,
            priority=first.priority,
            webhook=first.webhook,
            webhook_events_filter=first.webhook_events_filter,
            created_at=self._clock.now(),
        )


def _invalid(field: str, description: str) -> InputInvalid:
    return InputInvalid((InvalidField(type="value", field=field, description=description),))

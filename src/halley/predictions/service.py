"""The use cases: create, read, cancel."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from halley.clock import Clock
from halley.errors import KeyReused, NotFound
from halley.ids import NewId
from halley.models.catalog import Catalog, Runnable
from halley.predictions.hints import Bus, Changed, StopRequested, WorkWaits
from halley.predictions.inputs import InputCheck
from halley.predictions.large import Findings
from halley.predictions.ports import (
    Created,
    ExpiryPolicy,
    InputFile,
    NewPrediction,
    Page,
    Placement,
    PredictionStore,
    SubmitLimits,
)
from halley.predictions.progress_cache import ProgressCache
from halley.predictions.queue import Claimed
from halley.predictions.reading import PredictionReader
from halley.predictions.records import Prediction
from halley.predictions.repeats import How, IdempotencyKey, RepeatStore
from halley.predictions.status import Source

_KEYS_AT_ONCE: Final = 1000


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to run a version, already parsed strictly. `input_json` is `input` as it was sent.

    `input` is None if that is too large to be decoded here.
    """

    reference: str  # owner/name, owner/name:version, 64 hex
    input: Mapping[str, Any] | None
    input_json: bytes
    context: Mapping[str, str] | None = None  # for the model only: never shown, and stored no longer than the work
    webhook: str | None = None
    webhook_events_filter: tuple[str, ...] | None = None
    link_base: str | None = None  # the beginning of links to this server for the caller
    cancel_after_seconds: float | None = None
    cancel_abandoned: bool = False
    with_wait: bool = False
    source: Source = Source.API
    deployment: str | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()


StoreNew = Callable[[NewPrediction], Awaitable[Created]]
"""Stores a prediction, as `PredictionStore.create` does."""


class CreateStore(PredictionStore, RepeatStore, Protocol):
    """Predictions, and the search for earlier creates."""


Checked = tuple[Runnable, Findings]
"""The version of a create whose input fits, and what was found in the input."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Decides whether a create is accepted, and whether it begins at once."""

    catalog: Catalog
    placement: Placement
    inputs: InputCheck
    submit_limits: SubmitLimits | None = None  # of services elsewhere, if there are any


class Predictions(PredictionReader):
    """The operations of API and pages. Every method checks the account; predictions of other accounts are absent."""

    def __init__(
        self,
        *,
        store: CreateStore,
        admission: Admission,
        bus: Bus,
        data_ends: ExpiryPolicy,
        clock: Clock,
        new_id: NewId,
        running: ProgressCache | None = None,
    ) -> None:
        super().__init__(store=store, data_ends=data_ends, clock=clock, running=running)
        self._repeats: RepeatStore = store
        self._catalog = admission.catalog
        self._placement = admission.placement
        self._bus = bus
        self._new_id = new_id
        self._inputs = admission.inputs
        self._submit_limits = admission.submit_limits
        self._told: set[str] = set()  # versions whose hint was published in this turn of the loop

    def reserve_id(self) -> str:
        """An id for a prediction that will be created, so that a request can begin to wait before that."""
        return self._new_id()

    async def create(
        self,
        request: CreateRequest,
        account_id: str,
        key_id: str | None,
        *,
        idempotency: IdempotencyKey | None = None,
        prediction_id: str | None = None,
        store_as: StoreNew | None = None,
    ) -> Created:
        """Create a prediction. When this returns it is durable: the caller may be answered.

        Raises as `submit` does, and:
            QueueFull, Overloaded, StorageFull: nothing was stored.
        """
        pending = await self.submit(
            request, account_id, key_id, idempotency=idempotency, prediction_id=prediction_id, store_as=store_as
        )
        created = await asyncio.shield(pending)
        shown = self.kept(created.prediction)
        return created if shown is created.prediction else msgspec.structs.replace(created, prediction=shown)

    async def submit(
        self,
        request: CreateRequest,
        account_id: str,
        key_id: str | None,
        *,
        idempotency: IdempotencyKey | None = None,
        prediction_id: str | None = None,
        store_as: StoreNew | None = None,
    ) -> "asyncio.Future[Created]":
        """Check a create and begin to store it. It is durable when the future is done, which must not be canceled.

        `prediction_id` comes from `reserve_id`, if a request waits for it from the start. `store_as` stores it in
        another way than `PredictionStore.create`.

        If a slot is free, it is leased from the start and begins at once; otherwise it waits. With an idempotency key
        that was used before, the earlier prediction is returned as `replayed`, and none is created.

        Raises:
            VersionUnknown: this server does not know the reference.
            ModelBroken: the model is configured, but cannot run with its present files.
            InputInvalid: the input does not match the version's schema; lists all faults.
            SubmitLimitReached: it would run elsewhere, and no place may get another one now.
            Overloaded: it cannot be checked now.
            KeyReused: the idempotency key belongs to another request. This and what the store refuses are raised by
                the future.
        """
        runnable = await self._catalog.find(request.reference)
        found = await self._inputs.look(runnable, request.input_json, request.input)
        self._inputs.refuse(runnable, found)
        if self._submit_limits is not None:
            await self._submit_limits.check(runnable.version.id)
        files = await self._inputs.own_files(account_id, found)
        made = self._make(request, runnable, account_id, key_id, prediction_id or self._new_id(), found.shown)
        new = self._new(request, runnable, made, files=files, idempotency=idempotency)
        pending = self._store.create(new) if store_as is None else store_as(new)
        if not isinstance(pending, asyncio.Future):
            pending = asyncio.ensure_future(pending)
        # this depends on the commit, not on the caller: after its cancellation the work still gets its slot
        pending.add_done_callback(partial(self._place_later, new))
        return pending

    def check_at_once(self, request: CreateRequest) -> Checked | None:
        """Check a create, for `submit_checked`; None if only `submit` can do it: that must wait, or nothing is checked.

        Raises as `submit` does.
        """
        if request.input is None:
            return None
        runnable = self._catalog.find_at_once(request.reference)
        if runnable is None or not runnable.is_checked:
            return None
        if self._submit_limits is not None and self._submit_limits.has_limit(runnable.version.id):
            return None
        found = self._inputs.look_at_once(runnable, request.input)
        return None if found is None else (runnable, found)

    def submit_checked(
        self,
        request: CreateRequest,
        checked: Checked,
        account_id: str,
        key_id: str | None,
        prediction_id: str,
        told: Callable[[Created | Exception], None],
    ) -> None:
        """As `submit`, for a create that was checked in the same call of the loop; see
        `PredictionStore.create_and_tell`.
        """
        runnable, found = checked
        made = self._make(request, runnable, account_id, key_id, prediction_id, found.shown)
        new = self._new(request, runnable, made)
        self._store.create_and_tell(new, partial(self._place_and_tell, new, told))

    def _place_and_tell(
        self, new: NewPrediction, told: Callable[[Created | Exception], None], outcome: Created | Exception
    ) -> None:
        try:
            self._place(new, outcome)
        finally:
            told(outcome)

    def _new(
        self,
        request: CreateRequest,
        runnable: Runnable,
        made: tuple[Prediction, bytes | None],
        *,
        files: tuple[InputFile, ...] = (),
        idempotency: IdempotencyKey | None = None,
    ) -> NewPrediction:
        """A prediction to be stored, with a slot if one is free. `made`: its row, and the real input if that differs.

        A version without a schema yet must wait, because its input was not fully checked. Nothing may fail between
        this and the write, otherwise the slot would stay held.
        """
        prediction, work_input = made
        return NewPrediction(
            prediction=prediction,
            work_input=work_input,
            context=msgspec.json.encode(request.context) if request.context else None,
            session_id=(
                self._placement.reserve(prediction.version, prediction.account_id) if runnable.is_described else None
            ),
            idempotency=idempotency,
            link_base=request.link_base,
            files=files,
            tags=request.tags,
        )

    async def made_under(self, account_id: str, idempotency: IdempotencyKey) -> Prediction | None:
        """The prediction of this idempotency key, even if its version was removed; None if the key is free.

        Raises:
            KeyReused: it belongs to another request.
        """
        earlier = await self._repeats.made_under(account_id, idempotency.key, self._clock.now())
        if earlier is not None and earlier.digest != idempotency.digest:
            raise KeyReused.of(earlier.prediction.id)
        return None if earlier is None else self.kept(earlier.prediction)

    async def equal_creates(
        self, request: CreateRequest, account_id: str, key_id: str | None, seconds: float
    ) -> list[Prediction]:
        """Equal creates of the same API key in the last seconds, newest first.

        None if the request cannot be compared, because it has secrets or a context.

        Raises:
            VersionUnknown, Overloaded: see `create`.
        """
        runnable = await self._catalog.find(request.reference)
        found = await self._inputs.look(runnable, request.input_json, request.input)
        wanted, work_input = self._make(request, runnable, account_id, key_id, self._new_id(), found.shown)
        if work_input is not None or request.context:
            return []
        now = self._clock.now()
        equal = await self._repeats.find_equal(wanted, now - timedelta(seconds=seconds), now)
        return [self.kept(row) for row in equal]

    async def note_repeat(self, prediction_id: str, how: How) -> Prediction | None:
        """Record that a repeated create is answered with this prediction; returns its row after that."""
        noted = await self._repeats.note_repeat(prediction_id, self._clock.now(), how)
        if noted is not None:
            self._bus.publish(Changed(prediction_id))
        return None if noted is None else self.kept(noted)

    async def forget_idempotency_keys(self) -> int:
        """Remove a batch of expired idempotency keys; returns their number. 0 means that none is left."""
        return await self._repeats.forget_idempotency_keys(self._clock.now(), _KEYS_AT_ONCE)

    def _place_later(self, new: NewPrediction, pending: "asyncio.Future[Created]") -> None:
        error = asyncio.CancelledError() if pending.cancelled() else pending.exception()
        self._place(new, pending.result() if error is None else error)

    def _place(self, new: NewPrediction, outcome: Created | BaseException) -> None:
        version = new.prediction.version
        stored = None if isinstance(outcome, BaseException) else outcome
        if stored is not None and (lease := stored.lease) is not None:
            prediction = stored.prediction
            work_input = new.work_input or prediction.input
            claimed = Claimed(lease=lease, prediction=prediction, work_input=work_input, context=new.context)
            self._placement.begin(version, claimed)
            return
        if new.session_id is not None:
            self._placement.give_up(version)
        if stored is not None and version not in self._told:
            # one hint is enough for all creates that the loop learns of in one turn: they were stored before it
            if not self._told:
                asyncio.get_running_loop().call_soon(self._told.clear)
            self._told.add(version)
            self._bus.publish(WorkWaits(version))

    async def get(self, prediction_id: str, account_id: str) -> Prediction:
        """The prediction as it is now, output and logs so far included.

        Raises:
            NotFound: absent, or of another account.
        """
        return await self.filled(await self.row(prediction_id, account_id))

    async def page(self, account_id: str, **query: Any) -> Page:
        """A page of the account's predictions; see PredictionStore.page. `logs` are left out.

        Running predictions are returned without their output so far: that may be large, so the caller adds it one by
        one.
        """
        page = await self._store.page(account_id, **query)
        return msgspec.structs.replace(page, items=tuple([self.kept(item) for item in page.items]))

    async def cancel(self, prediction_id: str, account_id: str, *, reason: str | None = None) -> Prediction:
        """Cancel it: waiting or running becomes `canceled` at once, terminal stays unchanged.

        Source: contract section 8.3.

        Raises:
            NotFound: absent, or of another account.
        """
        canceled = await self._store.cancel(prediction_id, account_id, self._clock.now(), reason=reason)
        if canceled is None:
            raise NotFound(f"There is no prediction {prediction_id}")
        if canceled.changed:
            self._bus.publish(Changed(prediction_id))
            if canceled.was_leased:
                self._bus.publish(StopRequested(prediction_id))
        return self.kept(canceled.prediction)

    def revision(self, prediction_id: str, account_id: str) -> int | None:
        """See PredictionStore.revision."""
        return self._store.revision(prediction_id, account_id)

    async def row(self, prediction_id: str, account_id: str) -> Prediction:
        """The row only: for a running prediction without `output` and `logs`.

        Raises:
            NotFound: absent, or of another account.
        """
        row = await self._store.get(prediction_id, account_id)
        if row is None:
            raise NotFound(f"There is no prediction {prediction_id}")
        return self.kept(row)

    def _make(
        self,
        request: CreateRequest,
        runnable: Runnable,
        account_id: str,
        key_id: str | None,
        prediction_id: str,
        shown: bytes | None,
    ) -> tuple[Prediction, bytes | None]:
        now, cancel_after = self._clock.now(), request.cancel_after_seconds
        prediction = Prediction(
            id=prediction_id,
            account_id=account_id,
            key_id=key_id,
            model=runnable.version.model,
            version=runnable.version.id,
            deployment=request.deployment,
            input=request.input_json if shown is None else shown,
            source=request.source,
            priority=request.priority,
            provider=runnable.version.provider,
            created_with_wait=request.with_wait,
            cancel_abandoned=request.cancel_abandoned,
            webhook=request.webhook,
            webhook_events_filter=request.webhook_events_filter,
            created_at=now,
            deadline_at=None if cancel_after is None else now + timedelta(seconds=cancel_after),
        )
        return prediction, None if shown is None else request.input_json

"""A process of ours dies between any two steps of handing a prediction elsewhere; the next one finishes it, once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.bus.local import LocalBus
from halley.dispatch.open_submits import OpenSubmits
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.ports import Emit, HeldSlot, LogText, MetricValue, Outcome, OutputPart, Work
from halley.dispatch.routing import CatalogRouter, held
from halley.dispatch.rules import DispatchRules
from halley.dispatch.submission import Submission, SubmitRules
from halley.dispatch.worker import Worker
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.ids import TimeOrderedIds
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.inputs import InputCheck
from halley.predictions.queue import Claimed, Lease
from halley.predictions.records import Prediction
from halley.predictions.service import Admission, CreateRequest, Predictions
from halley.predictions.status import EventKind, Status, SubmitState
from halley.predictions.submits import UNKNOWN_REASON
from halley.retention.periods import Periods
from halley.settings import RetentionSettings
from halley.store.memory import MemoryStore
from halley.store.sqlite import open_sqlite
from halley.testing.clock import T0, FakeClock
from halley.testing.dispatch import NamingKeeper, NoFolders, ScriptedProvider, ScriptedStaging
from halley.testing.upstream import RemoteProvider, Upstream

pytestmark = pytest.mark.anyio

V = "1" * 64
LOCAL = "2" * 64
SCHEMA = b'{"components":{"schemas":{"Input":{"type":"object","properties":{}},"Output":{"type":"string"}}}}'

RULES = DispatchRules()

CERTAIN = ["before:record_intent", "after:record_handle", "while_followed", "before:finish", "after:finish"]
DOUBTFUL = ["after:record_intent", "before_first_byte", "after_first_byte", "after_answer", "before:record_handle"]
"""Where the process dies: an upstream that cannot be asked leaves these open."""


class Crash:
    """A process that dies at one step: from then on nothing that it began comes back, and it writes nothing."""

    def __init__(self, point: str = "never", ready: Callable[[], Awaitable[None]] | None = None) -> None:
        self.happened = asyncio.Event()
        self._point = point
        self._ready = ready  # what must be so before it dies

    async def step(self, name: str) -> None:
        if name == self._point and not self.happened.is_set():
            if self._ready is not None:
                await self._ready()
            self.happened.set()
        if self.happened.is_set():
            await asyncio.Event().wait()


class CrashingQueue:
    """The store as one process sees it."""

    def __init__(self, store: Any, crash: Crash, *, forgets: bool = False) -> None:
        self._store = store
        self._crash = crash
        self._forgets = forgets

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **named: Any) -> Any:
            await self._crash.step(f"before:{name}")
            result = await method(*args, **named)
            await self._crash.step(f"after:{name}")
            return result

        return call

    async def claim(self, *args: Any, **named: Any) -> Any:
        """With the planted bug what may have been submitted looks like a fresh attempt."""
        claimed = await self._store.claim(*args, **named)
        if not self._forgets:
            return claimed
        rows = [msgspec.structs.replace(item.prediction, submit_state=None, handle=None) for item in claimed]
        return [
            msgspec.structs.replace(item, prediction=row, recorded=None)
            for item, row in zip(claimed, rows, strict=True)
        ]


class OurProcess:
    """A worker with its side of the upstream."""

    def __init__(
        self,
        house: "House",
        crash: Crash | None = None,
        *,
        queue: Any = None,
        has_upstream: bool = True,
        slots: int = 1,
    ) -> None:
        self.crash = crash or Crash()
        self.provider = RemoteProvider(house.upstream, {V: slots}, step=self.crash.step)
        self.other = RemoteProvider(house.upstream, {V: 1})
        others = {"other": self.other} | ({"upstream": self.provider} if has_upstream else {})
        self.local = ScriptedProvider()
        self.stager = ScriptedStaging()
        bus = LocalBus()
        queue, session_id = queue or CrashingQueue(house.store, self.crash), house.new_id()
        self.maintainer = Maintainer(
            queue=queue,
            catalog=house.catalog,
            bus=bus,
            clock=house.clock,
            session_id=session_id,
            rules=MaintenanceRules(),
            is_alone=True,
        )
        parts = RunParts(
            queue=queue,
            bus=bus,
            clock=house.clock,
            catalog=house.catalog,
            files=RunFiles(stager=self.stager, workspace=NoFolders(), keeper=NamingKeeper()),
            rules=RULES,
        )
        self.worker = Worker(
            parts,
            providers=CatalogRouter(house.catalog, local=self.local, others=others),
            reports=self.maintainer,
            session_id=session_id,
            new_id=house.new_id,
        )
        self.maintainer.keep_first(self.worker.renew_late)
        for provider in (self.provider, self.other):
            provider.listen(on_capacity=self.worker.on_capacity, on_broken=self.worker.broken)
        bus.subscribe(self.worker.receive)
        self.predictions = Predictions(
            store=house.store,
            admission=Admission(catalog=house.catalog, placement=self.worker, inputs=InputCheck()),
            bus=bus,
            data_ends=Periods(settings=RetentionSettings(), model_settings={}, keys=house.store, models=house.store),
            clock=house.clock,
            new_id=house.new_id,
        )
        self._service: asyncio.Future[list[None]] | None = None

    async def start(self) -> None:
        await self.maintainer.open()
        await self.worker.open()
        self._service = asyncio.gather(self.worker.run(), self.maintainer.run())

    async def create(self, model: str = "demo/up") -> Prediction:
        request = CreateRequest(reference=model, input={}, input_json=b"{}")
        return (await self.predictions.create(request, "ada", None)).prediction

    async def rest(self) -> None:
        """Return when nothing runs here any more, and the slot is free (a look for work holds it for a moment)."""
        while self.worker.running or not self.provider.free_slots(V):
            await asyncio.sleep(0.002)

    async def die(self) -> None:
        self.crash.happened.set()
        if self._service is not None:
            self._service.cancel()
            await asyncio.gather(self._service, return_exceptions=True)


class House:
    """What outlives our processes: the store, the upstream, time."""

    def __init__(self, store: Any, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.new_id = TimeOrderedIds(self.clock)
        self.catalog = Catalog(store)
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.upstream = Upstream({V: self.run})
        self._processes: list[OurProcess] = []

    async def run(self, work: Work, emit: Emit) -> Outcome:
        """What a run says there, in two halves."""
        for number, letter in enumerate("ab"):
            if number:
                await self.go_on.wait()
            emit(LogText(f"saying {letter}\n"))
            emit(OutputPart(value=msgspec.Raw(msgspec.json.encode(letter))))
            emit(MetricValue(name="said", value=1, mode="incr"))
        return Outcome(status="succeeded", predict_time=1.0)

    async def start(self, crash: Crash | None = None, **more: Any) -> OurProcess:
        made = OurProcess(self, crash, **more)
        self._processes.append(made)
        await made.start()
        return made

    async def stop(self) -> None:
        for process in self._processes:
            await process.die()

    async def until(self, reached: Callable[[], Awaitable[bool]]) -> None:
        """Let time pass until it is so; the test's time limit is the bound."""
        while not await reached():
            self.clock.advance(0.1)
            await asyncio.sleep(0.002)

    async def ended(self, prediction_id: str) -> Prediction:
        async def has_ended() -> bool:
            self._processes[-1].worker.on_capacity(V)  # whoever waits behind a backoff need not wait for a poll
            return (await self.store.get(prediction_id)).is_terminal

        await self.until(has_ended)
        row: Prediction = await self.store.get(prediction_id)
        return row

    async def has_output(self) -> bool:
        return any(event.kind is EventKind.OUTPUT_ADDED for event in await self.store.read_log())

    async def check(self, made: Prediction) -> Prediction:
        """It ends; it was submitted at most once; what it said is there once."""
        row = await self.ended(made.id)
        assert self.upstream.submits[made.id] <= 1, "submitted twice"
        assert await self.store.waiting() == {}
        if row.status is Status.SUCCEEDED:
            logs = [line for line in row.logs.splitlines() if line and not line.startswith("[halley]")]
            assert (row.output, logs) == (b'["a","b"]', ["saying a", "saying b"])
            assert row.metrics["said"] == 2
            kinds = [event.kind for event in await self.store.read_events(row.id)]
            assert (kinds.count(EventKind.STARTED), kinds.count(EventKind.FINISHED)) == (1, 1)
        return row


@pytest.fixture(params=["memory", "sqlite"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    clock = FakeClock()
    if request.param == "memory":
        made = await furnished(MemoryStore(clock=clock), clock)
        yield made
        await made.stop()
        return
    async with open_sqlite(tmp_path / "halley.db", clock=clock) as store:
        made = await furnished(store, clock)
        yield made
        await made.stop()


async def furnished(store: Any, clock: FakeClock) -> House:
    made = House(store, clock)
    for name, version, provider in (("up", V, "upstream"), ("here", LOCAL, "local")):
        await made.catalog.register(
            Model(owner="demo", name=name, created_at=T0),
            Version(id=version, model=f"demo/{name}", created_at=T0, openapi_schema=SCHEMA, provider=provider),
        )
    return made


async def crashed(house: House, point: str, **more: Any) -> Prediction:
    """A prediction whose process has died at the point."""

    async def output_is_stored() -> None:
        while not await house.has_output():
            await asyncio.sleep(0.002)

    crash = Crash(point, ready=output_is_stored if point == "while_followed" else None)
    goes_on = house.go_on.is_set()
    if point == "while_followed":
        house.go_on.clear()
    process = await house.start(crash, **more)
    made = await process.create()
    await house.until(lambda: _is_set(crash.happened))
    await process.die()
    if goes_on:
        house.go_on.set()
    return made


async def _is_set(event: asyncio.Event) -> bool:
    return event.is_set()


@pytest.mark.parametrize("point", CERTAIN + DOUBTFUL)
async def test_an_upstream_that_can_be_asked_finishes_it(house: House, point: str) -> None:
    made = await crashed(house, point)
    await house.start()
    row = await house.check(made)
    assert (row.status, house.upstream.submits[made.id]) == (Status.SUCCEEDED, 1)
    assert row.submit_state is SubmitState.SUBMITTED
    assert row.handle == "up-1"


@pytest.mark.parametrize("point", CERTAIN + DOUBTFUL)
async def test_an_upstream_that_cannot_be_asked_is_never_asked_twice(house: House, point: str) -> None:
    house.upstream.can_tell = False
    made = await crashed(house, point)
    await house.start()
    row = await house.check(made)
    if point in CERTAIN:
        assert row.status is Status.SUCCEEDED
        return
    assert (row.status, row.termination_reason, row.submit_state) == (
        Status.FAILED,
        UNKNOWN_REASON,
        SubmitState.UNKNOWN,
    )
    assert "not known" in (row.error or "")


async def test_a_second_crash_at_every_step_changes_nothing(house: House) -> None:
    made = await crashed(house, "after_first_byte")
    for point in ("before:record_handle", "after:record_handle", "while_followed", "before:finish"):
        crash = Crash(point)
        process = await house.start(crash)
        await house.until(lambda event=crash.happened: _is_set(event))
        await process.die()
    await house.start()
    row = await house.check(made)
    assert (row.status, row.attempts) == (Status.SUCCEEDED, 1)


async def test_planted_bug_what_was_intended_is_submitted_again_is_found(house: House) -> None:
    async def nothing(lease: Any, handle: str = "") -> None:
        del lease, handle

    made = await crashed(house, "after_first_byte")
    forgetful = CrashingQueue(house.store, Crash(), forgets=True)
    forgetful.__dict__.update(record_intent=nothing, record_handle=nothing)
    await house.start(queue=forgetful)
    with pytest.raises(AssertionError, match="submitted twice"):
        await house.check(made)


async def test_the_store_alone_refuses_a_second_intent(house: House) -> None:
    made = await crashed(house, "after_first_byte")
    await house.start(queue=CrashingQueue(house.store, Crash(), forgets=True))
    await house.check(made)


async def test_a_worker_without_the_lease_leaves_the_run_to_its_holder(house: House) -> None:
    house.go_on.clear()
    first = await house.start()
    made = await first.create()
    await house.until(house.has_output)
    second = await house.start()  # takes everything back, as from a process that was paused too long
    await house.until(lambda: _runs(second))
    await house.until(lambda: _rests(first))  # it learns that when it renews
    house.go_on.set()
    row = await house.check(made)
    assert (row.status, row.fence) == (Status.SUCCEEDED, 2)
    assert not house.upstream.runs["up-1"].was_canceled
    await first.rest()


async def _rests(process: OurProcess) -> bool:
    return process.worker.running == 0


async def _runs(process: OurProcess) -> bool:
    return process.worker.running == 1


async def test_a_stopping_server_leaves_the_run_to_the_next(house: House) -> None:
    house.go_on.clear()
    first = await house.start()
    made = await first.create()
    await house.until(house.has_output)
    await first.worker.drain(0.0)
    await first.die()
    assert (await house.store.get(made.id)).status is Status.PROCESSING
    house.go_on.set()
    await house.start()
    row = await house.check(made)
    assert (row.status, row.attempts) == (Status.SUCCEEDED, 1)


async def test_a_cancel_reaches_an_adopted_run(house: House) -> None:
    house.go_on.clear()
    made = await crashed(house, "after_answer")
    second = await house.start()
    await house.until(house.has_output)
    await second.predictions.cancel(made.id, "ada")
    assert (await house.check(made)).status is Status.CANCELED
    await second.rest()
    assert house.upstream.runs["up-1"].was_canceled


async def test_a_busy_upstream_is_asked_again_and_a_refusal_is_final(house: House) -> None:
    house.upstream.refuses = ProviderBusy("429")
    process = await house.start()
    made = await process.create()
    await house.until(lambda: _waits(house))
    assert (await house.store.get(made.id)).submit_state is None
    house.upstream.refuses = None
    assert (await house.check(made)).status is Status.SUCCEEDED
    house.upstream.refuses = SubmitRefused("no such model there")
    row = await house.check(await process.create())
    assert (row.status, row.termination_reason, row.submit_state) == (Status.FAILED, "submit_refused", None)
    assert "no such model there" in (row.error or "")


async def _waits(house: House) -> bool:
    return await house.store.waiting() == {V: 1}


@pytest.mark.parametrize("error", [OutcomeUnknown("reset"), TimeoutError("no answer"), ValueError("no JSON")])
async def test_an_answer_that_is_not_clear_is_final(house: House, error: Exception) -> None:
    house.upstream.refuses = error  # type: ignore[assignment]
    process = await house.start()
    row = await house.check(await process.create())
    assert (row.termination_reason, row.submit_state) == (UNKNOWN_REASON, SubmitState.UNKNOWN)
    # the text of an unexpected error may contain anything
    assert (str(error) in (row.error or "")) == isinstance(error, OutcomeUnknown)
    await process.rest()


async def test_a_local_run_stores_nothing_about_submitting(house: House) -> None:
    house.store.record_intent = house.store.record_handle = None  # not there to be called
    process = await house.start()
    process.stager.has = True
    made = await process.create("demo/here")
    (await process.local.next_run()).end()
    row = await house.ended(made.id)
    assert (row.status, row.submit_state, row.handle) == (Status.SUCCEEDED, None, None)


async def test_an_upstream_gets_links_and_no_files_are_staged(house: House) -> None:
    process = await house.start()
    process.stager.has = True
    await house.check(await process.create())
    assert process.stager.calls == 0


# what ends, or changes its provider, while its run elsewhere goes on


async def _is_canceled_there(house: House) -> bool:
    return house.upstream.runs["up-1"].was_canceled


async def _is_done(house: House) -> bool:
    return await house.store.waiting() == {}


@pytest.mark.parametrize("point", ["after_first_byte", "after_answer", "after:record_handle", "while_followed"])
async def test_a_cancel_while_nobody_holds_it_is_carried_to_the_upstream(house: House, point: str) -> None:
    house.go_on.clear()
    made = await crashed(house, point)
    await house.store.cancel(made.id, "ada", house.clock.now())  # of a row whose holder is dead, and not yet reaped
    second = await house.start()
    await house.until(lambda: _is_canceled_there(house))
    await second.rest()
    row = await house.check(made)
    assert (row.status, house.upstream.submits[made.id]) == (Status.CANCELED, 1)
    kinds = [event.kind for event in await house.store.read_events(made.id)]
    assert kinds.count(EventKind.FINISHED) == 1


@pytest.mark.parametrize("point", ["after:record_intent", "before_first_byte"])
async def test_what_was_canceled_before_it_was_begun_is_not_begun(house: House, point: str) -> None:
    made = await crashed(house, point)
    await house.store.cancel(made.id, "ada", house.clock.now())
    second = await house.start()
    await house.until(lambda: _is_done(house))
    await second.rest()
    assert house.upstream.runs == {}
    assert (await house.store.get(made.id)).submit_state is None


async def test_what_ends_and_cannot_be_found_there_is_not_looked_for_again(house: House) -> None:
    house.upstream.can_tell = False
    made = await crashed(house, "after_first_byte")
    await house.store.cancel(made.id, "ada", house.clock.now())
    second = await house.start()
    await house.until(lambda: _is_done(house))
    await second.rest()
    row = await house.check(made)
    assert (row.status, row.submit_state) == (Status.CANCELED, SubmitState.UNKNOWN)


async def test_a_server_that_stops_while_it_carries_a_cancel_leaves_it_to_the_next(house: House) -> None:
    house.go_on.clear()
    made = await crashed(house, "while_followed")
    await house.store.cancel(made.id, "ada", house.clock.now())
    second = await house.start(Crash("while_followed"))  # before the upstream has said that it stopped
    await house.until(lambda: _runs(second))
    await second.die()
    third = await house.start()
    await house.until(lambda: _is_canceled_there(house))
    await third.rest()
    assert (await house.check(made)).status is Status.CANCELED


async def test_a_cancel_in_the_same_moment_as_the_adoption_is_carried(house: House) -> None:
    house.go_on.clear()
    made = await crashed(house, "while_followed")
    second = OurProcess(house)
    house._processes.append(second)
    begin = second.worker.begin

    def canceled_at_once(version: str, claimed: Any) -> None:
        begin(version, claimed)
        for run in second.worker._runs.values():
            run.stop()  # before its first step

    second.worker.begin = canceled_at_once  # type: ignore[method-assign]
    await second.start()
    await house.until(lambda: _is_canceled_there(house))
    await second.rest()
    await house.check(made)


async def _claimed_again(house: House, process: OurProcess) -> None:
    """The worker loses the lease of its only run, and claims the prediction again."""
    (run,) = process.worker._runs.values()
    run.lose_lease()
    await house.store.release(run.lease, house.clock.now())

    async def is_another() -> bool:
        process.worker.on_capacity(V)
        return process.worker._runs.get(run.prediction_id) is not run

    await house.until(is_another)


class Gate:
    """Holds the first call of a method until it is opened, or with `at_end` its answer; later calls pass."""

    def __init__(self, method: Callable[..., Awaitable[Any]], *, at_end: bool = False) -> None:
        self._method = method
        self._at_end = at_end
        self.calls = 0
        self.is_open = asyncio.Event()

    async def __call__(self, *args: Any) -> Any:
        self.calls += 1
        is_first = self.calls == 1
        if is_first and not self._at_end:
            await self.is_open.wait()
        answer = await self._method(*args)
        if is_first and self._at_end:
            await self.is_open.wait()
        return answer

    async def is_reached(self) -> bool:
        return self.calls > 0


@pytest.mark.parametrize("can_tell", [True, False])
async def test_who_claims_it_again_waits_for_the_submit_that_is_under_way(house: House, can_tell: bool) -> None:
    house.upstream.can_tell = can_tell
    process = await house.start(slots=2)
    process.provider.submit = gate = Gate(process.provider.submit)  # type: ignore[method-assign]
    made = await process.create()
    await house.until(gate.is_reached)
    await _claimed_again(house, process)
    await asyncio.sleep(0.02)  # its holder would ask the upstream now
    gate.is_open.set()
    row = await house.check(made)
    assert (row.status, row.handle, house.upstream.submits[made.id]) == (Status.SUCCEEDED, "up-1", 1)


async def test_who_lost_the_lease_while_it_was_looked_for_submits_nothing(house: House) -> None:
    made = await crashed(house, "after:record_intent")
    process = OurProcess(house, slots=2)
    house._processes.append(process)
    process.provider.adopt = gate = Gate(process.provider.adopt, at_end=True)  # type: ignore[method-assign]
    await process.start()
    await house.until(gate.is_reached)
    await _claimed_again(house, process)
    row = await house.check(made)
    gate.is_open.set()
    await asyncio.sleep(0.02)
    assert (row.status, house.upstream.submits[made.id]) == (Status.SUCCEEDED, 1)


async def test_another_worker_that_looked_for_it_too_long_submits_nothing(house: House) -> None:
    made = await crashed(house, "after:record_intent")
    first = OurProcess(house)
    house._processes.append(first)
    first.provider.adopt = gate = Gate(first.provider.adopt, at_end=True)  # type: ignore[method-assign]
    await first.start()
    await house.until(gate.is_reached)
    await house.start()  # takes everything back, as from a process that was paused too long
    row = await house.check(made)
    gate.is_open.set()  # before the first learns that
    await asyncio.sleep(0.02)
    assert (row.status, house.upstream.submits[made.id]) == (Status.SUCCEEDED, 1)


@pytest.mark.parametrize("point", ["after:record_intent", "after:record_handle"])
async def test_what_a_provider_refused_is_refused_and_not_unknown_unless_it_has_a_handle(
    house: House, point: str
) -> None:
    async def refused(work: Work, handle: str | None) -> str | None:
        del work, handle
        raise SubmitRefused("no such input")

    made = await crashed(house, point)
    second = OurProcess(house)
    house._processes.append(second)
    second.provider.adopt = refused  # type: ignore[method-assign]
    await second.start()
    row = await house.check(made)
    if point == "after:record_intent":
        assert (row.termination_reason, row.submit_state, row.error) == ("submit_refused", None, "no such input")
    else:
        assert (row.termination_reason, row.submit_state) == (UNKNOWN_REASON, SubmitState.UNKNOWN)


async def test_a_process_that_was_paused_during_an_upload_sends_nothing(house: House) -> None:
    first = await house.start()
    submit, is_asked, goes_on = first.provider.submit, asyncio.Event(), asyncio.Event()

    async def slowly(work: Work) -> str:
        is_asked.set()
        await goes_on.wait()
        if not work.may_send():
            raise ProviderBusy("not sent")
        return await submit(work)

    first.provider.submit = slowly  # type: ignore[method-assign]
    made = await first.create()
    await house.until(lambda: _is_set(is_asked))
    elapsed = house.clock.elapsed()
    first.worker._renewed_at = elapsed - RULES.lease_seconds - 1  # it was paused so long
    await house.start()  # takes everything back
    row = await house.check(made)
    goes_on.set()
    await asyncio.wait_for(first.rest(), 60)
    assert (row.status, house.upstream.submits[made.id]) == (Status.SUCCEEDED, 1)


class FreeElsewhere:
    """Another provider with a free slot."""

    def have_free_slot(self) -> bool:
        return True

    def may_accept(self) -> bool:
        return True


@pytest.mark.parametrize(("state", "seconds"), [(None, 0.0), (SubmitState.INTENDED, 1.0), (SubmitState.SUBMITTED, 1.0)])
async def test_what_a_provider_may_have_is_not_asked_for_again_at_once(
    house: House, state: SubmitState | None, seconds: float
) -> None:
    process = OurProcess(house)
    row = msgspec.structs.replace(await process.create(), submit_state=state)
    lease = Lease(prediction_id=row.id, session_id="s", fence=1, attempt=1)
    slot = HeldSlot("upstream", process.provider, others=FreeElsewhere())
    submission = Submission(
        Claimed(lease=lease, prediction=row, work_input=b"{}"),
        route=held(slot),
        ledger=house.store,
        rules=SubmitRules(lambda write: write(), 60.0, OpenSubmits()),
    )
    assert submission.retry_seconds == seconds


async def test_a_lease_that_is_lost_before_the_run_is_followed_costs_no_slot(house: House) -> None:
    house.go_on.clear()
    process = await house.start()
    record_handle, store = house.store.record_handle, house.store

    async def lost(*args: Any) -> None:
        await record_handle(*args)
        for run in process.worker._runs.values():
            run.lose_lease()

    store.record_handle = lost
    made = await process.create()
    await house.until(lambda: _has_handle(house, made))
    await asyncio.wait_for(process.rest(), 60)


@pytest.mark.parametrize("point", ["after_first_byte", "after:record_handle", "while_followed"])
@pytest.mark.parametrize("provider", ["other", "local"])
async def test_a_run_is_adopted_from_the_provider_that_has_it(house: House, point: str, provider: str) -> None:
    made = await crashed(house, point)
    await move(house, provider)
    second = await house.start()
    row = await house.check(made)
    assert (row.status, row.provider, row.handle) == (Status.SUCCEEDED, "upstream", "up-1")
    free = (1 if provider == "other" else 0, 0)  # nobody wanted one of the former provider
    await house.until(lambda: _has_free(second, free))
    assert second.local.runs == []


async def _has_free(process: OurProcess, slots: tuple[int, int]) -> bool:
    is_idle = not process.worker.running and not process.local.held
    return is_idle and (process.other.free_slots(V), process.provider.free_slots(V)) == slots


async def test_what_a_former_provider_has_not_begun_goes_to_the_new_one(house: House) -> None:
    made = await crashed(house, "before_first_byte")
    await move(house, "other")
    await house.start()
    row = await house.check(made)
    assert (row.status, row.provider, house.upstream.submits[made.id]) == (Status.SUCCEEDED, "other", 1)


async def test_what_a_provider_has_that_is_gone_waits_for_it_and_then_is_unknown(house: House) -> None:
    made = await crashed(house, "after:record_handle")
    await move(house, "local")
    await house.start(has_upstream=False)
    for _ in range(3):
        house.clock.advance(2.0)
        await asyncio.sleep(0.01)
    assert not (await house.store.get(made.id)).is_terminal
    house.clock.advance(RULES.max_queue_seconds + RULES.run_timeout_seconds)
    row = await house.check(made)
    assert (row.status, row.termination_reason) == (Status.FAILED, UNKNOWN_REASON)


async def move(house: House, provider: str) -> None:
    """The version has another provider from now on."""
    await house.catalog.register(
        Model(owner="demo", name="up", created_at=T0),
        Version(id=V, model="demo/up", created_at=T0, openapi_schema=SCHEMA, provider=provider),
    )


# time


async def test_the_time_of_a_run_counts_from_its_start_and_not_from_its_adoption(house: House) -> None:
    house.go_on.clear()
    made = await crashed(house, "while_followed")
    house.clock.advance(RULES.run_timeout_seconds - 60)
    second = await house.start()
    await house.until(lambda: _runs(second))
    (run,) = second.worker._runs.values()
    await house.until(lambda: _has_begun(run))
    assert 30 < run.ends_at - house.clock.monotonic() <= 60
    house.clock.advance(60)
    row = await house.check(made)
    assert (row.status, row.termination_reason) == (Status.FAILED, "run_timeout")
    await second.rest()
    assert await _is_canceled_there(house)


async def test_a_run_that_ended_in_time_is_adopted_late(house: House) -> None:
    house.go_on.clear()
    made = await crashed(house, "while_followed")
    house.go_on.set()
    house.clock.advance(RULES.run_timeout_seconds * 2)
    await house.start()
    assert (await house.check(made)).status is Status.SUCCEEDED


async def _has_handle(house: House, made: Prediction) -> bool:
    return (await house.store.get(made.id)).handle is not None


async def _has_begun(run: Any) -> bool:
    return bool(run.has_begun)


async def test_a_submit_that_never_returns_ends_with_the_time_of_the_run(house: House) -> None:
    process = await house.start()
    is_asked = asyncio.Event()

    async def forever(work: Work) -> str:
        del work
        is_asked.set()
        await asyncio.Event().wait()
        return ""

    process.provider.submit = forever  # type: ignore[method-assign]
    made = await process.create()
    await house.until(lambda: _is_set(is_asked))
    house.clock.advance(RULES.run_timeout_seconds)
    row = await house.check(made)
    assert (row.status, row.termination_reason, row.submit_state) == (
        Status.FAILED,
        UNKNOWN_REASON,
        SubmitState.UNKNOWN,
    )
    await process.rest()

"""Who runs what, and that every lease is settled."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from halley.dispatch import recorder
from halley.dispatch import worker as worker_module
from halley.dispatch.ports import Outcome
from halley.errors import HalleyError, InputInvalid, ModelBroken, NotFound, Overloaded, StorageFull, VersionUnknown
from halley.models.records import Version
from halley.predictions.records import Prediction, Step
from halley.predictions.service import CreateRequest
from halley.predictions.status import EventKind, Status
from halley.testing.clock import T0
from halley.testing.stores.maker import on_duty

pytestmark = pytest.mark.anyio

NEW = "2" * 64  # a version that nobody has seen before


async def test_with_a_free_slot_it_is_born_leased_and_runs(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    run.log("hello\n")
    run.put_out("done", more=False)
    run.end()
    ended = await harness.ended(made.id)
    assert (ended.status, ended.output, ended.logs) == (Status.SUCCEEDED, b'"done"', "hello\n")
    assert ended.metrics["predict_time"] == 0.5
    assert (ended.attempts, ended.fence) == (1, 1)
    kinds = [event.kind for event in await harness.store.read_events(made.id)]
    assert kinds == [
        EventKind.CREATED,
        EventKind.STARTED,
        EventKind.LOGGED,
        EventKind.OUTPUT_SET,
        EventKind.FINISHED,
    ]
    assert await harness.store.waiting() == {}


async def test_without_a_slot_it_waits_and_the_next_free_slot_takes_it(harness) -> None:
    first, second = await harness.create(), await harness.create()
    run = await harness.provider.next_run(0)
    assert len(harness.provider.runs) == 1
    run.end()
    (await harness.provider.next_run(1)).end()
    assert (await harness.ended(first.id)).status is Status.SUCCEEDED
    assert (await harness.ended(second.id)).status is Status.SUCCEEDED
    assert harness.provider.held == 0


async def test_a_new_one_does_not_overtake_those_who_wait(harness) -> None:
    harness.provider.slots = 0
    waiting = await harness.create()
    await asyncio.sleep(0)  # the hint that it waits comes with the next turn of the loop
    harness.provider.slots = 1
    late = await harness.create()
    harness.worker.on_capacity("1" * 64)
    first = await harness.provider.next_run(0)
    assert first.work.prediction_id == waiting.id
    first.end()
    assert (await harness.provider.next_run(1)).work.prediction_id == late.id


async def test_progress_is_seen_while_it_runs(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    run.log("one\n")
    run.put_out("a")
    seen = await harness.until(made.id, lambda row: row.output is not None)
    assert (seen.status, seen.output, seen.logs) == (Status.PROCESSING, b'["a"]', "one\n")
    run.put_out("b")
    run.end()
    assert (await harness.ended(made.id)).output == b'["a","b"]'


async def test_what_comes_during_a_commit_is_committed_together(harness, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    append, commits = harness.store.append_events, []

    async def slowly(lease, events):
        commits.append([event.kind for event in events])
        monkeypatch.setattr(recorder, "FLUSH_SECONDS", 3600.0)  # what comes now is late for this batch
        run.put_out("b")
        await asyncio.sleep(0)
        run.put_out("c")
        return await append(lease, events)

    monkeypatch.setattr(harness.store, "append_events", slowly)
    run.put_out("a")
    await harness.until(made.id, lambda row: row.output is not None)
    for _ in range(20):
        await asyncio.sleep(0)
    assert commits == [[EventKind.STARTED, EventKind.OUTPUT_ADDED]]
    run.end()  # no batch is waited for at the end
    assert (await harness.ended(made.id)).output == b'["a","b","c"]'
    assert len(commits) == 1


async def test_after_output_that_a_stop_took_nothing_is_stored(harness, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    begun = asyncio.Event()

    async def for_ever(**_: object) -> None:
        begun.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(harness.keeper, "keep", for_ever)
    run.put_out("/tmp/a.png", paths=[()])
    await begun.wait()
    run.put_out("b")  # without what came before it this must not be stored
    await harness.stop_hard()
    await asyncio.sleep(3 * recorder.FLUSH_SECONDS)
    events = [event.kind for event in await harness.store.read_events(made.id)]
    assert EventKind.OUTPUT_ADDED not in events


async def test_a_cancel_shows_at_once_and_late_output_is_dropped(harness) -> None:
    harness.provider.obeys_cancel = False
    made = await harness.create()
    run = await harness.provider.next_run()
    run.put_out("a")
    await harness.until(made.id, lambda row: row.output is not None)
    canceled = await harness.predictions.cancel(made.id, "ada")
    assert (canceled.status, canceled.output) == (Status.CANCELED, b'["a"]')
    await run.canceled.wait()
    run.put_out("b")
    run.end()
    while harness.worker.running:
        await asyncio.sleep(0.001)
    after = await harness.predictions.get(made.id, "ada")
    assert (after.status, after.output) == (Status.CANCELED, b'["a"]')
    assert harness.provider.held == 0


async def test_a_cancel_of_a_waiting_one_never_runs_it(harness) -> None:
    await harness.create()
    waiting = await harness.create()
    assert (await harness.predictions.cancel(waiting.id, "ada")).status is Status.CANCELED
    (await harness.provider.next_run(0)).end()
    await harness.pass_time(3)
    assert len(harness.provider.runs) == 1
    with pytest.raises(NotFound):
        await harness.predictions.cancel(waiting.id, "bob")


async def test_a_failed_run_says_why(harness) -> None:
    made = await harness.create()
    (await harness.provider.next_run()).end(Outcome(status="failed", error="ValueError: no", reason="raised"))
    ended = await harness.ended(made.id)
    assert (ended.status, ended.error, ended.termination_reason) == (Status.FAILED, "ValueError: no", "raised")


async def test_a_run_that_takes_too_long_fails(harness) -> None:
    made = await harness.create()
    await harness.provider.next_run()
    await harness.pass_time(61)
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "run_timeout")
    assert "0:01:00" in (ended.error or "")


async def test_a_deadline_ends_what_runs_and_what_waits(harness) -> None:
    running = await harness.create(cancel_after_seconds=5)
    waiting = await harness.create(cancel_after_seconds=5)
    run = await harness.provider.next_run()
    await harness.until(running.id, lambda row: row.status is Status.PROCESSING)
    await harness.pass_time(6)
    assert (await harness.ended(running.id)).status is Status.CANCELED
    ended = await harness.ended(waiting.id)
    assert (ended.status, ended.termination_reason) == (Status.ABORTED, "deadline_before_start")
    assert run.canceled.is_set()


async def test_what_could_not_begin_waits_again_and_does_not_lose_an_attempt(harness) -> None:
    harness.provider.refuses = Overloaded("the process is just gone")
    made = await harness.create()
    while harness.worker.running:
        await asyncio.sleep(0.001)
    harness.provider.refuses = None
    await harness.pass_time(4)
    harness.worker.on_capacity("1" * 64)
    run = await harness.provider.next_run()
    assert run.work.attempt == 1
    run.end()
    assert (await harness.ended(made.id)).status is Status.SUCCEEDED
    assert harness.provider.held == 0


async def test_what_was_cut_off_by_stopping_its_replica_runs_again(harness) -> None:
    made = await harness.create()
    (await harness.provider.next_run()).end(Outcome(status="failed", error="gone", reason="worker_lost"))
    await harness.pass_time(4)
    harness.worker.on_capacity("1" * 64)
    (await harness.provider.next_run(1)).end()
    ended = await harness.ended(made.id)
    assert (ended.status, ended.attempts) == (Status.SUCCEEDED, 1)


async def test_a_version_that_cannot_run_fails_what_waits_for_it(harness) -> None:
    harness.provider.slots = 0
    made = await harness.create()
    while not harness.provider.wanted:
        await asyncio.sleep(0.001)
    harness.worker.broken("1" * 64, "setup failed: no weights", "setup_failed")
    ended = await harness.ended(made.id)
    assert (ended.status, ended.error) == (Status.FAILED, "setup failed: no weights")
    wanted = len(harness.provider.wanted)
    await harness.pass_time(10)
    assert len(harness.provider.wanted) == wanted  # nobody waits: it is not loaded again and again


async def test_a_version_that_cannot_run_is_not_offered_until_it_can(harness) -> None:
    version = harness.version.id
    assert await harness.store.offered() == {version}
    harness.worker.broken(version, "setup failed: no weights", "setup_failed")
    await harness.pass_time(30)
    assert await harness.store.offered() == frozenset()
    await harness.create()  # it begins
    await harness.pass_time(30)
    assert await harness.store.offered() == {version}


async def test_work_for_a_removed_version_fails_with_a_reason(harness) -> None:
    harness.provider.slots = 0
    made = await harness.create()
    harness.catalog.withdraw("demo/a")
    harness.worker.on_capacity("1" * 64)
    assert (await harness.ended(made.id)).termination_reason == "version_unavailable"
    with pytest.raises(VersionUnknown):
        await harness.create()


async def asked_early(harness, **given: object) -> Prediction:
    """A prediction of a version whose schema is not known yet."""
    harness.catalog.withdraw("demo/a")
    harness.catalog.expect(harness.model, msgspec.structs.replace(harness.version, id=NEW, openapi_schema=b""))
    request = CreateRequest(reference="demo/a", input=given, input_json=msgspec.json.encode(given))
    made = (await harness.predictions.create(request, "ada", None)).prediction
    await harness.pass_time(3)
    assert (await harness.predictions.get(made.id, "ada")).status is Status.STARTING
    assert harness.provider.wanted == []  # nothing is loaded before it can be described
    return made


async def described(harness) -> None:
    version = msgspec.structs.replace(harness.version, id=NEW, created_at=harness.clock.now())
    await harness.catalog.register(harness.model, version)
    harness.worker.reevaluate()


async def test_what_is_asked_early_shows_its_secrets_at_no_time(harness) -> None:
    made = await asked_early(harness, prompt="hi", key="s3cret")
    assert made.input == b'{"prompt":"[REDACTED]","key":"[REDACTED]"}'
    await described(harness)
    run = await harness.provider.next_run()
    assert msgspec.json.decode(run.work.input) == {"prompt": "hi", "key": "s3cret"}
    run.end()
    ended = await harness.ended(made.id)
    assert (ended.status, ended.input) == (Status.SUCCEEDED, b'{"prompt":"hi","key":"[REDACTED]"}')


async def test_what_is_asked_early_and_wrong_fails_in_the_words_of_a_refusal(harness) -> None:
    made = await asked_early(harness, prompt=7)
    await described(harness)
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "input_invalid")
    request = CreateRequest(reference="demo/a", input={"prompt": 7}, input_json=b"")
    with pytest.raises(InputInvalid) as refused:
        await harness.predictions.create(request, "ada", None)
    assert ended.error == str(refused.value)
    assert ended.input == b'{"prompt":7}'
    assert harness.provider.runs == []
    assert harness.provider.held == 0


async def test_what_is_asked_early_in_vain_fails_with_the_reason(harness) -> None:
    made = await asked_early(harness, prompt="hi")
    harness.catalog.report_fault(harness.model, "no such package")
    harness.catalog.withdraw("demo/a")
    harness.worker.broken(NEW, "no such package", "environment_failed")
    ended = await harness.ended(made.id)
    assert (ended.status, ended.error) == (Status.FAILED, "no such package")
    assert (ended.termination_reason, ended.input) == ("environment_failed", b'{"prompt":"[REDACTED]"}')


async def test_work_for_a_broken_model_waits_for_its_repair(harness) -> None:
    harness.provider.slots = 0
    made = await harness.create()
    model, version = harness.model, harness.version
    harness.catalog.withdraw("demo/a")
    harness.catalog.report_fault(model, "cog.yaml, line 1: no")
    harness.worker.on_capacity(version.id)
    await harness.pass_time(10)
    assert (await harness.predictions.get(made.id, "ada")).status is Status.STARTING
    with pytest.raises(ModelBroken, match=r"The model demo/a is broken: cog\.yaml, line 1: no"):
        await harness.create()
    harness.provider.slots = 1
    await harness.catalog.register(model, version)
    harness.worker.reevaluate()
    (await harness.provider.next_run()).end()
    assert (await harness.ended(made.id)).status is Status.SUCCEEDED


async def test_work_for_a_broken_model_waits_a_bounded_time(harness) -> None:
    harness.provider.slots = 0
    made = await harness.create()
    harness.catalog.withdraw("demo/a")
    harness.catalog.report_fault(harness.model, "no")
    harness.clock.advance(86_401)
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.ABORTED, "queue_time")


async def test_output_files_are_kept_before_they_are_mentioned_and_a_full_disk_is_waited_for(harness) -> None:
    harness.keeper.full_times = 2
    made = await harness.create()
    run = await harness.provider.next_run()
    run.put_out("/tmp/a.png", paths=[()])
    run.end()
    while harness.keeper.calls < 3:
        await harness.pass_time(1)
    ended = await harness.ended(made.id)
    assert ended.output == f'["asset:{made.id}/0/a.png"]'.encode()
    assert ended.metrics["image_count"] == 1


async def test_an_output_that_cannot_be_kept_fails_the_prediction(harness) -> None:
    harness.keeper.refuses = HalleyError("The model returned the file '/tmp/a.png': there is none.")
    made = await harness.create()
    run = await harness.provider.next_run()
    run.put_out("/tmp/a.png", paths=[()], more=False)
    run.end()
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "output_unusable")
    assert "/tmp/a.png" in (ended.error or "")


async def test_output_that_is_lost_on_the_way_never_ends_as_succeeded(harness) -> None:
    harness.keeper.breaks = True
    made = await harness.create()
    run = await harness.provider.next_run()
    run.put_out("/tmp/a.png", paths=[()])
    await run.canceled.wait()
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "output_unusable")
    made = await harness.create()
    run = await harness.provider.next_run(1)
    run.put_out("/tmp/a.png", paths=[()], more=False)
    run.end()  # the same before anything was committed
    assert (await harness.ended(made.id)).status is Status.FAILED


MORE_LOGS = "\n[halley] more logs were dropped: the limit is 100 bytes (limits.log_bytes)\n"
MORE_METRICS = "\n[halley] more metrics were dropped: the limit is 200 bytes (limits.metric_bytes)\n"


@pytest.mark.parametrize(
    ("texts", "logs"),
    [
        (["0123456789"] * 10, "0123456789" * 10),
        (["0123456789"] * 10 + ["x"], "0123456789" * 10 + MORE_LOGS),
        (["x" * 95, "0123456789", "more", "and more"], "x" * 95 + "01234" + MORE_LOGS),
        (["x" * 99, "é"], "x" * 99 + MORE_LOGS),
        (["é" * 1000], "é" * 50 + MORE_LOGS),
        (["x" * 100, "", ""], "x" * 100),
    ],
)
async def test_logs_are_cut_at_the_limit_with_one_mark(harness, texts: list[str], logs: str) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    for text in texts:
        run.log(text)
    run.end()
    ended = await harness.ended(made.id)
    assert (ended.status, ended.logs) == (Status.SUCCEEDED, logs)


async def test_metrics_end_at_the_limit_with_one_mark(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    run.log("x" * 101)
    for _ in range(1000):
        run.metric("n", 1, "incr")  # 35 bytes
    run.end()
    ended = await harness.ended(made.id)
    assert ended.status is Status.SUCCEEDED
    assert ended.metrics["n"] == 5
    assert ended.logs == "x" * 100 + MORE_LOGS + MORE_METRICS


@pytest.mark.parametrize(("items", "fits"), [(5, True), (6, False), (1000, False)])
async def test_output_items_have_a_limit(harness, items: int, fits: bool) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    for n in range(items):
        run.put_out(n)
    if fits:
        run.end()
    ended = await harness.ended(made.id)
    assert msgspec.json.decode(ended.output) == [0, 1, 2, 3, 4]  # what was put out before stays
    if fits:
        assert ended.status is Status.SUCCEEDED
        return
    assert run.canceled.is_set()
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "output_unusable")
    assert ended.error == "the output has more than 5 items (setting limits.output_events)"


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [([998], True), ([498, 498], True), ([999], False), ([498, 499], False), ([0] * 4 + [991], False)],
)
@pytest.mark.parametrize("more", [True, False])
async def test_output_has_a_limit_in_bytes(harness, sizes: list[int], fits: bool, more: bool) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    for number, size in enumerate(sizes):
        run.put_out("x" * size, more=more or number < len(sizes) - 1)  # two bytes of quotes each
    if fits:
        run.end()
    ended = await harness.ended(made.id)
    if fits:
        assert ended.status is Status.SUCCEEDED
        return
    assert run.canceled.is_set()
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "output_unusable")
    assert ended.error == "the output has more than 1,000 bytes (setting limits.output_bytes)"


async def test_secrets_reach_only_the_model(harness) -> None:
    request = CreateRequest(reference="demo/a", input={"key": "s3cret"}, input_json=b'{"key":"s3cret"}')
    made = (await harness.predictions.create(request, "ada", None)).prediction
    run = await harness.provider.next_run()
    assert run.work.input == b'{"key":"s3cret"}'
    run.end()
    assert (await harness.ended(made.id)).input == b'{"key":"[REDACTED]"}'


@pytest.mark.parametrize("slots", [3])
async def test_draining_waits_and_then_gives_back(harness) -> None:
    quick, silent, talking = [await harness.create() for _ in range(3)]
    runs = [await harness.provider.next_run(n) for n in range(3)]
    runs[2].put_out("a")
    await harness.until(talking.id, lambda row: row.output is not None)
    runs[0].end()
    await harness.ended(quick.id)
    await harness.worker.drain(0.01)
    assert (await harness.predictions.get(talking.id, "ada")).termination_reason == "server_stopped"
    assert await harness.store.waiting() == {"1" * 64: 1}
    assert not (await harness.predictions.get(silent.id, "ada")).is_terminal
    assert harness.worker.reserve("1" * 64, "ada") is None


@pytest.mark.parametrize("slots", [2])
async def test_draining_gives_back_others_than_one_whose_output_is_on_its_way(harness, monkeypatch) -> None:
    monkeypatch.setattr(worker_module, "SETTLE_SECONDS", 0.2)
    stuck, _ = [await harness.create() for _ in range(2)]
    runs = [await harness.provider.next_run(n) for n in range(2)]
    runs[0].put_out("a")
    await harness.until(stuck.id, lambda row: row.output is not None)
    monkeypatch.setattr(harness.keeper, "keep", lambda **_: asyncio.Event().wait())
    runs[0].put_out("b", paths=[()])
    await asyncio.sleep(0.1)
    await harness.worker.drain(0.01)
    assert runs[0].work.prediction_id == stuck.id
    assert await harness.store.waiting() == {"1" * 64: 1}


async def test_a_lost_session_stops_everything_and_writes_nothing(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    await harness.until(made.id, lambda row: row.status is Status.PROCESSING)
    # another process reaps what seems dead
    await harness.store.reap(await on_duty(harness.store), harness.clock.now() + timedelta(hours=1), max_attempts=2)
    await harness.pass_time(6)
    assert run.canceled.is_set()
    row = await harness.predictions.get(made.id, "ada")
    assert (row.status, row.attempts) == (Status.PROCESSING, 1)
    assert await harness.store.waiting() == {"1" * 64: 1}


@pytest.mark.parametrize("slots", [2])
async def test_a_lost_session_is_noticed_once_and_the_runs_of_the_next_one_continue(
    harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the heartbeat and the clocks renew after a pause."""
    old = await harness.create()
    lost = await harness.provider.next_run()
    await harness.until(old.id, lambda row: row.status is Status.PROCESSING)
    await harness.store.reap(await on_duty(harness.store), harness.clock.now() + timedelta(hours=1), max_attempts=2)
    renew, may_answer, asked = harness.store.renew, asyncio.Event(), []

    async def answers_late(session_id: str, *given: object, **more: object) -> object:
        asked.append(session_id)
        if len(asked) == 2:
            await may_answer.wait()
        await asyncio.sleep(0)  # as a store on disk does
        return await renew(session_id, *given, **more)

    monkeypatch.setattr(harness.store, "renew", answers_late)
    both = asyncio.gather(harness.worker._renew(), harness.worker._renew())
    await lost.canceled.wait()
    new = await harness.create()
    run = await harness.provider.next_run(1)
    assert run.work.prediction_id == new.id
    may_answer.set()
    await both
    assert not run.canceled.is_set()
    run.end()
    assert (await harness.ended(new.id)).status is Status.SUCCEEDED


async def test_a_prediction_continues_after_its_client_disconnects(harness) -> None:
    creating = asyncio.get_running_loop().create_task(harness.create())
    await asyncio.sleep(0)
    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)
    run = await harness.provider.next_run()
    run.end()
    assert (await harness.ended(run.work.prediction_id)).status is Status.SUCCEEDED


async def test_a_version_may_have_its_own_run_timeout(harness) -> None:
    model = (await harness.store.list_models())[0]
    await harness.catalog.register(
        model,
        Version(id="2" * 64, model="demo/a", created_at=T0, openapi_schema=_schema(harness), run_timeout_seconds=2.0),
    )
    made = await harness.create()
    await harness.provider.next_run()
    await harness.pass_time(3)
    assert (await harness.ended(made.id)).termination_reason == "run_timeout"


def _schema(harness) -> bytes:
    return harness.catalog.by_id("1" * 64).version.openapi_schema


async def test_a_busy_store_delays_the_end(harness, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    tries = _busy_at_first(harness.store, "finish", 3, monkeypatch)
    run.end()
    await harness.pass_time(5)
    assert (await harness.ended(made.id)).status is Status.SUCCEEDED
    assert tries == [1, 2, 3, 4]


async def test_a_busy_store_delays_the_giving_back(harness, monkeypatch: pytest.MonkeyPatch) -> None:
    await harness.create()
    run = await harness.provider.next_run()
    tries = _busy_at_first(harness.store, "release", 2, monkeypatch)
    run.end(Outcome(status="failed", error="gone", reason="worker_lost"))
    await harness.pass_time(4)
    assert tries == [1, 2, 3]
    harness.worker.on_capacity("1" * 64)
    (await harness.provider.next_run(1)).end()


def _busy_at_first(store, method: str, times: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    tries: list[int] = []
    plain = getattr(store, method)

    async def sometimes(*args: object, **kwargs: object) -> object:
        tries.append(len(tries) + 1)
        if len(tries) <= times:
            raise StorageFull("the disk is full")
        return await plain(*args, **kwargs)

    monkeypatch.setattr(store, method, sometimes)
    return tries


async def test_a_bar_in_the_logs_becomes_events_and_the_logs_stay_as_they_are(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    text = ""
    for n in range(1000):  # as fast as it goes: the log holds 100 bytes, the bar goes on
        line = f"\r{n // 10:3d}%|##| {n}/1000 [00:00<00:01]"
        run.log(line)
        text += line
    await harness.until(made.id, lambda row: row.logs != "")
    run.log("\r100%|##| 1000/1000")
    run.end()
    ended = await harness.ended(made.id)
    assert ended.logs.startswith(text[:100])
    events = await harness.store.read_events(made.id)
    steps = [msgspec.json.decode(event.data, type=Step) for event in events if event.kind is EventKind.PROGRESSED]
    assert steps[0] == Step(fraction=0.0, current=0, total=1000)
    assert steps[-1] == Step(fraction=1.0, current=1000, total=1000)
    assert len(steps) <= 3  # the first, what waited for the timer, the last


async def test_the_last_step_is_sent_although_the_bar_then_stops(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    for n in range(1, 4):
        run.log(f"{n * 25:3d}%|##| {n}/4\n")
    while True:
        events = await harness.store.read_events(made.id)
        steps = [msgspec.json.decode(event.data)["current"] for event in events if event.kind is EventKind.PROGRESSED]
        if steps == [1, 3]:
            break
        assert steps in ([], [1])
        await asyncio.sleep(0.01)
    run.end()
    await harness.ended(made.id)

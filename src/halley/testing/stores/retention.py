"""The promises of `retention.ports.DataStore`."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from halley.assets.ports import FileStore, StoredFile
from halley.predictions.lifecycle import without_data
from halley.predictions.ports import NewPrediction
from halley.predictions.records import OutputFile, Prediction
from halley.predictions.status import EventKind, Fact, Source
from halley.retention.ports import DataGroup, OwnerKind
from halley.store.ports import Store
from halley.testing.stores.maker import Maker, StoreSuite, row_of, running
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.records import Message

A, B = "a" * 64, "b" * 64
HOOK = "https://example.com/hook"
KEPT = [EventKind.CREATED, EventKind.STARTED, EventKind.FINISHED, EventKind.DATA_REMOVED]


@pytest.mark.anyio
class DataStoreContract(StoreSuite):
    """What every implementation of `DataStore` must do. Give `store`, `files` and `deliveries`."""

    @pytest.fixture
    def deliveries(self, store: Store) -> DeliveryStore:
        raise NotImplementedError

    @pytest.fixture
    def files(self) -> FileStore:
        raise NotImplementedError

    async def test_what_happened_stays_and_the_data_goes(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker, webhook=HOOK, webhook_events_filter=(), input=b'{"text":"secret"}')
        said = [maker.said("secret\n"), maker.metric("steps", 3), maker.output("secret", [_file(A)])]
        await store.finish(lease, Fact.FAILED, maker.clock.now(), events=said, error="it broke")
        before = await row_of(store, lease.prediction_id)
        maker.clock.advance(60)
        removed = await store.remove_data([before.id], maker.clock.now())
        assert removed.prediction_ids == (before.id,)
        after = await row_of(store, before.id)
        assert after == without_data(before, maker.clock.now())
        assert (after.error, after.metrics["steps"], after.webhook) == ("it broke", 3, HOOK)
        events = await store.read_events(before.id)
        assert [event.kind for event in events] == KEPT
        assert b"secret" not in b"".join(event.data for event in events)
        assert (await store.page("anna", limit=9)).items == (after,)

    async def test_the_log_continues_after_removed_events(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.said("x"), maker.output("y")])
        whole, log = await store.read_events(lease.prediction_id), await store.read_log()
        await store.remove_data([lease.prediction_id], maker.clock.now())
        left = await store.read_events(lease.prediction_id)
        assert [event for event in whole if event.kind in KEPT] == left[:-1]
        assert (left[-1].kind, left[-1].seq) == (EventKind.DATA_REMOVED, whole[-1].seq + 1)
        assert await store.read_events(lease.prediction_id, whole[-1].seq) == left[-1:]
        assert await store.read_log(log[-1].offset) == left[-1:]
        other = (await store.create(maker.new())).prediction
        assert [event.prediction_id for event in await store.read_log(left[-1].offset)] == [other.id]

    async def test_what_two_remove_at_the_same_time_is_removed_once(self, store: Store, maker: Maker) -> None:
        """One of them may have lost the duty to maintain without noticing."""
        over = [await self.over(store, maker) for _ in range(3)]
        ids = [row.id for row in over]
        before = await row_of(store, ids[0])
        removed = await asyncio.gather(*[store.remove_data(ids, maker.clock.now()) for _ in range(2)])
        assert sorted(one for each in removed for one in each.prediction_ids) == sorted(ids)
        after = await row_of(store, ids[0])
        assert after.revision == before.revision + 1
        kinds = [event.kind for event in await store.read_events(ids[0])]
        assert kinds.count(EventKind.DATA_REMOVED) == 1

    async def test_only_what_is_over_and_has_data_loses_it(self, store: Store, maker: Maker) -> None:
        waits = (await store.create(maker.new())).prediction
        over = await self.over(store, maker)
        runs = await store.create(NewPrediction(prediction=maker.prediction(), session_id="s1"))
        assert runs.lease is not None
        await store.append_events(runs.lease, [maker.started()])
        first = await store.remove_data([waits.id, maker.new_id(), runs.prediction.id, over.id], maker.clock.now())
        assert first.prediction_ids == (over.id,)
        assert await store.get(waits.id) == waits
        after = await row_of(store, over.id)
        maker.clock.advance(5)
        assert (await store.remove_data([over.id, over.id], maker.clock.now())).prediction_ids == ()
        assert await row_of(store, over.id) == after

    async def test_a_holder_that_is_late_changes_nothing(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        await store.remove_data([lease.prediction_id], maker.clock.now())
        after = await row_of(store, lease.prediction_id)
        assert (await store.append_events(lease, [maker.said("late")])).is_terminal
        done = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.output("late")])
        assert not done.applied
        assert done.prediction == after == await store.get(lease.prediction_id)

    async def test_bytes_are_free_with_their_last_owner(self, store: Store, maker: Maker) -> None:
        first, second = await self.over(store, maker), await self.over(store, maker)
        for row in (first, second):
            await store.add_reference(A, 3, "prediction", row.id, "a.png")
        await store.add_reference(B, 3, "prediction", first.id, "b.png")
        await store.add_reference(B, 3, "file", "f1", "b.png")
        assert (await store.remove_data([first.id], maker.clock.now())).freed == ()
        assert (await store.remove_data([second.id], maker.clock.now())).freed == (A,)
        assert not await store.is_referenced(A)
        assert await store.is_referenced(B)

    async def test_bytes_of_two_owners_removed_together_are_free_once(self, store: Store, maker: Maker) -> None:
        rows = [await self.over(store, maker) for _ in range(2)]
        for row in rows:
            await store.add_reference(A, 3, "prediction", row.id, "a.png")
        removed = await store.remove_data([row.id for row in rows], maker.clock.now())
        assert removed.freed == (A,)

    async def test_data_waits_for_the_message_to_its_webhook(
        self, store: Store, deliveries: DeliveryStore, maker: Maker
    ) -> None:
        row = await self.over(store, maker, webhook=HOOK)
        quiet = await self.over(store, maker, webhook=HOOK, webhook_events_filter=())
        ids = [row.id, quiet.id]
        assert (await store.remove_data(ids, maker.clock.now())).prediction_ids == (quiet.id,)
        assert await store.due(_group(row), maker.clock.now(), 9) == []
        assert await store.get(row.id) == row
        last = (await store.read_log())[-1].offset
        await deliveries.record([], last)
        assert await store.due(_group(row), maker.clock.now(), 9) == [row.id]
        assert (await store.remove_data(ids, maker.clock.now())).prediction_ids == (row.id,)

    async def test_a_settled_message_loses_its_body_and_a_pending_one_keeps_it(
        self, store: Store, deliveries: DeliveryStore, maker: Maker
    ) -> None:
        rows = [await self.over(store, maker, webhook=HOOK) for _ in range(2)]
        messages = [
            Message(
                id=f"msg_{row.id}",
                account_id=row.account_id,
                prediction_id=row.id,
                url=HOOK,
                endpoint="example.com:443",
                body=b"{}",
                created_at=maker.clock.now(),
                next_at=next_at,
            )
            for row, next_at in zip(rows, (maker.clock.now(), None), strict=True)
        ]
        await deliveries.record(messages, (await store.read_log())[-1].offset)
        await store.remove_data([row.id for row in rows], maker.clock.now())
        bodies = [found.body if (found := await deliveries.message(one.id)) else "lost" for one in messages]
        assert bodies == [b"{}", None]

    async def test_groups_are_what_decides_how_long(self, store: Store, maker: Maker) -> None:
        assert await store.data_groups() == []
        kinds: list[dict[str, Any]] = [
            {},
            {"source": Source.WEB},
            {"model": "demo/other"},
            {"key_id": "k1"},
            {"key_id": "k2"},
            {"source": Source.WEB, "model": "demo/other", "key_id": "k1"},
        ]
        wanted = []
        for members in kinds:
            first = await self.over(store, maker, **members)
            maker.clock.advance(60)
            await self.over(store, maker, **members)
            wanted.append(_group(first))
        await store.create(maker.new(model="demo/waits"))
        groups = await store.data_groups()
        assert sorted(groups, key=_order) == sorted(wanted, key=_order)

    async def test_the_due_are_those_of_the_group_oldest_first(self, store: Store, maker: Maker) -> None:
        rows = []
        for _ in range(4):
            rows.append(await self.over(store, maker, key_id="k1"))
            await self.over(store, maker, key_id="k2")
            maker.clock.advance(60)
        group = _group(rows[0])
        ends = [_group(row).oldest_completed_at for row in rows]
        assert await store.due(group, ends[0] - timedelta(microseconds=1), 9) == []
        assert await store.due(group, ends[2], 9) == [row.id for row in rows[:3]]
        assert await store.due(group, ends[3], 2) == [row.id for row in rows[:2]]
        await store.remove_data([rows[0].id, rows[1].id], maker.clock.now())
        assert await store.due(group, ends[3], 9) == [row.id for row in rows[2:]]
        (left,) = [item for item in await store.data_groups() if item.key_id == "k1"]
        assert left.oldest_completed_at == ends[2]
        await store.remove_data([row.id for row in rows], maker.clock.now())
        assert [item.key_id for item in await store.data_groups()] == ["k2"]

    async def test_the_due_with_files_are_found_behind_those_without(self, store: Store, maker: Maker) -> None:
        rows = [await self.over(store, maker) for _ in range(3)]
        await store.add_reference(A, 3, "prediction", rows[1].id, "a.png")
        await store.add_reference(A, 3, "input", rows[0].id, "a.png")
        waits = (await store.create(maker.new())).prediction
        await store.add_reference(A, 3, "prediction", waits.id, "a.png")
        group = _group(rows[0])
        assert await store.due_with_files(group, group.oldest_completed_at - timedelta(microseconds=1)) == []
        assert await store.due_with_files(group, maker.clock.now()) == [rows[1].id]
        maker.clock.advance(60)
        later = await self.over(store, maker, webhook=HOOK)
        await store.add_reference(A, 3, "prediction", later.id, "a.png")
        assert await store.due_with_files(group, maker.clock.now()) == [rows[1].id], "its webhook must be sent first"
        await store.remove_data([rows[1].id], maker.clock.now())
        assert await store.due_with_files(group, maker.clock.now()) == []

    async def test_a_long_log_goes_in_portions(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said(str(number)) for number in range(300)])
        await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        small = await self.over(store, maker)
        await store.remove_data([lease.prediction_id, small.id], maker.clock.now())
        told = await store.read_events(lease.prediction_id, limit=9999, with_data=False)
        assert [event.kind for event in told] == KEPT, "whether they are gone already or not"
        portions = 0
        while await store.remove_events(100):
            portions += 1
            assert portions < 20
        for prediction_id in (lease.prediction_id, small.id):
            assert [event.kind for event in await store.read_events(prediction_id)] == KEPT
        assert {event.kind for event in await store.read_log(limit=9999)} == set(KEPT)

    async def test_outputs_of_removed_data_are_unneeded(self, store: Store, maker: Maker) -> None:
        gone, kept = await self.over(store, maker), await self.over(store, maker)
        await store.remove_data([gone.id], maker.clock.now())
        for row in (gone, kept):
            await store.add_reference(A, 3, "prediction", row.id, "late.png")
        assert await self.strays(store, maker, "prediction") == [gone.id]

    async def test_inputs_of_ended_predictions_are_unneeded(self, store: Store, maker: Maker) -> None:
        over = await self.over(store, maker)
        waits = (await store.create(maker.new())).prediction
        for owner in (over.id, waits.id):
            await store.add_reference(A, 3, "input", owner, "x")
            await store.add_reference(B, 3, "input", owner, "y")
        assert await self.strays(store, maker, "input") == [over.id]
        await store.cancel(waits.id, None, maker.clock.now())
        assert await self.strays(store, maker, "input") == [over.id, waits.id]
        assert len(await store.stray_owners("input", maker.clock.now(), 1)) == 1

    async def test_uploads_without_a_record_are_unneeded(self, store: Store, files: FileStore, maker: Maker) -> None:
        stored, never = maker.new_id(), maker.new_id()
        now = maker.clock.now()
        record = StoredFile(
            id=stored,
            account_id="anna",
            name="x",
            content_type="text/plain",
            size_bytes=3,
            sha256=A,
            created_at=now,
            expires_at=now,
        )
        await files.insert(record)
        for owner in (stored, never):
            await store.add_reference(A, 3, "file", owner, "x")
        assert await self.strays(store, maker, "file") == []
        maker.clock.advance(3600)
        assert await self.strays(store, maker, "file") == [never]

    async def test_the_last_recorded_time(self, store: Store, maker: Maker) -> None:
        assert await store.last_recorded_at() is None
        await self.over(store, maker)
        assert await store.last_recorded_at() == maker.clock.now()

    async def over(self, store: Store, maker: Maker, **members: Any) -> Prediction:
        """A prediction that has succeeded now."""
        await store.open_session("s1", maker.clock.now(), 1e6)
        new = NewPrediction(prediction=maker.prediction(**members), session_id="s1")
        created = await store.create(new)
        assert created.lease is not None
        said = [maker.started(), maker.said("x"), maker.output("done")]
        return (await store.finish(created.lease, Fact.SUCCEEDED, maker.clock.now(), events=said)).prediction

    async def strays(self, store: Store, maker: Maker, kind: OwnerKind) -> list[str]:
        """The owners without need that were created a minute ago or earlier."""
        return await store.stray_owners(kind, maker.clock.now() - timedelta(seconds=60), 99)


def _file(sha256: str) -> OutputFile:
    return OutputFile(ref="asset:x/0/a.png", index=0, name="a.png", sha256=sha256, size_bytes=3, content_type="x/y")


def _group(row: Prediction) -> DataGroup:
    assert row.completed_at is not None
    return DataGroup(source=row.source, model=row.model, key_id=row.key_id, oldest_completed_at=row.completed_at)


def _order(group: DataGroup) -> tuple[str, str, str]:
    return group.source, group.model, group.key_id or ""

"""The promises of `predictions.attendance.AttendanceStore`."""

import asyncio
from collections.abc import Sequence

import pytest

from halley.predictions.attendance import KeptAttendance
from halley.store.ports import Store
from halley.testing.stores.maker import LEASE_SECONDS, Maker, StoreSuite


@pytest.mark.anyio
class AttendanceStoreContract(StoreSuite):
    """What every implementation of `AttendanceStore` must do."""

    async def note(
        self, store: Store, maker: Maker, node: str, added: Sequence[str], dropped: Sequence[str] = ()
    ) -> None:
        await store.note_awaited(node, added, dropped, maker.clock.now(), LEASE_SECONDS)

    async def keep(self, store: Store, maker: Maker, node: str, *, alone: bool = False) -> KeptAttendance:
        return await store.keep_awaited(node, maker.clock.now(), LEASE_SECONDS, alone=alone)

    async def test_awaited_predictions_are_stored_and_removed(self, store: Store, maker: Maker) -> None:
        first, second, third = maker.new_id(), maker.new_id(), maker.new_id()
        assert await store.awaited() == []
        await self.note(store, maker, "n1", [second, first])
        await self.note(store, maker, "n1", [first, third], [second, second, maker.new_id()])
        assert await store.awaited() == sorted([first, third])
        await self.note(store, maker, "n1", [], [first, third])
        assert await store.awaited() == []

    async def test_each_node_remembers_for_itself(self, store: Store, maker: Maker) -> None:
        shared, own = maker.new_id(), maker.new_id()
        await self.note(store, maker, "n1", [shared])
        await self.note(store, maker, "n2", [shared, own])
        assert await store.awaited() == sorted([shared, own])
        await self.note(store, maker, "n2", [], [shared, own])
        assert await store.awaited() == [shared]

    async def test_only_the_last_node_finds_it_abandoned(self, store: Store, maker: Maker) -> None:
        one = maker.new_id()
        for node in ("n1", "n2", "n3"):
            await self.note(store, maker, node, [one])
        nodes = ("n3", "n1", "n2")
        told = await asyncio.gather(*[store.yield_awaited(node, one) for node in nodes])
        assert sorted(told) == [False, True, True]
        assert await store.awaited() == [one], "it stays until it is canceled"
        assert await store.yield_awaited(nodes[told.index(False)], one) is False

    async def test_a_node_without_rows_may_ask_as_well(self, store: Store, maker: Maker) -> None:
        one = maker.new_id()
        assert await store.yield_awaited("n1", one) is False
        await self.note(store, maker, "n2", [one])
        assert await store.yield_awaited("n1", one) is True
        assert await store.awaited() == [one]

    async def test_a_lost_node_is_taken_over_once(self, store: Store, maker: Maker) -> None:
        first, second = sorted([maker.new_id(), maker.new_id()])
        await self.note(store, maker, "n1", [second, first])
        await self.note(store, maker, "n2", [second])
        maker.clock.advance(LEASE_SECONDS - 1)
        assert (await self.keep(store, maker, "n2")).taken == ()
        maker.clock.advance(1)
        kept = await asyncio.gather(*[self.keep(store, maker, node) for node in ("n2", "n3")])
        assert sorted(one.taken for one in kept) == [(), (first, second)]
        assert await store.awaited() == [first, second]
        for node in ("n2", "n3"):
            await self.note(store, maker, node, [], [first, second])
        assert await store.awaited() == []

    async def test_a_node_that_renews_keeps_its_rows(self, store: Store, maker: Maker) -> None:
        one = maker.new_id()
        await self.note(store, maker, "n1", [one])
        for _ in range(3):
            maker.clock.advance(LEASE_SECONDS - 1)
            assert await self.keep(store, maker, "n1") == KeptAttendance()
            assert (await self.keep(store, maker, "n2")).taken == ()
        maker.clock.advance(LEASE_SECONDS - 1)
        await self.note(store, maker, "n1", [], [])  # this renews as well
        maker.clock.advance(1)
        assert (await self.keep(store, maker, "n2")).taken == ()

    async def test_a_node_that_was_taken_for_lost_learns_it_and_stores_its_rows_again(
        self, store: Store, maker: Maker
    ) -> None:
        one = maker.new_id()
        await self.note(store, maker, "n1", [one])
        maker.clock.advance(LEASE_SECONDS)
        assert (await self.keep(store, maker, "n2")).taken == (one,)
        assert await self.keep(store, maker, "n1") == KeptAttendance(was_lost=True)
        await self.note(store, maker, "n1", [one])
        assert await store.yield_awaited("n2", one) is True
        assert await store.awaited() == [one]

    async def test_a_process_that_is_alone_takes_over_from_all(self, store: Store, maker: Maker) -> None:
        one = maker.new_id()
        await self.note(store, maker, "n1", [one])
        assert (await self.keep(store, maker, "n2", alone=True)).taken == (one,)
        assert (await self.keep(store, maker, "n1")).was_lost

    async def test_a_clock_change_loses_no_session(self, store: Store, maker: Maker) -> None:
        one = maker.new_id()
        await self.note(store, maker, "n1", [one])
        maker.clock.jump(3600)
        assert (await self.keep(store, maker, "n2")).taken == ()
        maker.clock.advance(LEASE_SECONDS)
        assert (await self.keep(store, maker, "n2")).taken == (one,)

"""Pages of predictions with a size limit."""

from halley.store.ports import Store
from halley.testing.stores.maker import Maker, StoreSuite

SIZES = (10, 900, 100, 5000, 10, 10, 2000, 900, 900, 10, 5000, 10)
LIMIT_BYTES = 2000


class PageContract(StoreSuite):
    """`PredictionStore.page` with `limit_bytes`; a part of PredictionStoreContract."""

    async def filled_with_sizes(self, store: Store, maker: Maker) -> list[str]:
        """Predictions with inputs of these sizes, the oldest first; returns their ids, the newest first."""
        news = [maker.new(input=b'"%b"' % (b"x" * (size - 2))) for size in SIZES]
        return [(await store.create(new)).prediction.id for new in news][::-1]

    async def test_a_page_ends_where_it_would_be_too_large(self, store: Store, maker: Maker) -> None:
        ids = await self.filled_with_sizes(store, maker)
        found: list[str] = []
        has_older = True
        while has_older:
            older_than = found[-1] if found else None
            page = await store.page("anna", limit=4, limit_bytes=LIMIT_BYTES, older_than=older_than)
            sizes = [len(item.input) for item in page.items]
            assert sum(sizes) <= LIMIT_BYTES or len(sizes) == 1
            assert page.has_newer is bool(found)
            found += [item.id for item in page.items]
            has_older = page.has_older
        assert found == ids

    async def test_so_does_one_that_is_asked_backwards(self, store: Store, maker: Maker) -> None:
        ids = await self.filled_with_sizes(store, maker)
        found = ids[-1:]
        has_newer = True
        while has_newer:
            page = await store.page("anna", limit=4, limit_bytes=LIMIT_BYTES, newer_than=found[0])
            sizes = [len(item.input) for item in page.items]
            assert sum(sizes) <= LIMIT_BYTES or len(sizes) == 1
            assert page.has_older
            found = [item.id for item in page.items] + found
            has_newer = page.has_newer
        assert found == ids

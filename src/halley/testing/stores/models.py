"""The promises of `models.ports.ModelStore`."""

import asyncio
from typing import Any

import msgspec
import pytest

from halley.errors import NotFound
from halley.models.ports import age_of
from halley.models.records import Model, Version
from halley.store.ports import Store
from halley.testing.stores.maker import OTHER_VERSION, VERSION, Maker, StoreSuite


@pytest.mark.anyio
class ModelStoreContract(StoreSuite):
    """What every implementation of `ModelStore` must do."""

    def model(self, maker: Maker, name: str = "noop", **members: Any) -> Model:
        return Model(owner="demo", name=name, created_at=maker.clock.now(), **members)

    def version(self, maker: Maker, version_id: str = VERSION, name: str = "noop", **members: Any) -> Version:
        given: dict[str, Any] = {"openapi_schema": b'{"openapi":"3.0.2"}', **members}
        return Version(id=version_id, model=f"demo/{name}", created_at=maker.clock.now(), **given)

    async def test_a_model_comes_back_whole(self, store: Store, maker: Maker) -> None:
        model = self.model(
            maker,
            description="paints",
            visibility="private",
            is_official=True,
            github_url="https://example.com/g",
            paper_url="https://example.com/p",
            license_url="https://example.com/l",
            cover_image_url="https://example.com/c",
            default_example_id="x",
        )
        await store.put_model(model)
        assert await store.get_model("demo", "noop") == model
        assert await store.get_model("demo", "other") is None
        assert await store.get_model("noop", "demo") is None

    async def test_putting_again_keeps_age_and_runs(self, store: Store, maker: Maker) -> None:
        first = self.model(maker)
        await store.put_model(first)
        await store.put_version(self.version(maker))
        await store.create(maker.new())
        maker.clock.advance(10)
        await store.put_model(self.model(maker, description="new words", run_count=99))
        stored = await store.get_model("demo", "noop")
        assert stored is not None
        assert (stored.description, stored.run_count, stored.created_at) == ("new words", 1, first.created_at)
        assert stored.latest_version_id == VERSION

    async def test_runs_are_counted(self, store: Store, maker: Maker) -> None:
        await store.put_model(self.model(maker))
        await store.put_model(self.model(maker, "other"))
        news = [maker.new() for _ in range(9)]
        await asyncio.gather(*[store.create(new) for new in news])
        await store.create(news[0])  # a repeat is no run
        assert [model.run_count for model in await store.list_models()] == [9, 0]

    async def test_a_version_becomes_the_latest(self, store: Store, maker: Maker) -> None:
        await store.put_model(self.model(maker))
        for version_id in (VERSION, OTHER_VERSION):
            maker.clock.advance(10)
            version = self.version(
                maker,
                version_id,
                source_digest="d",
                cog_version="0.1",
                provider="cog",
                run_timeout_seconds=2.5,
                counts_written=version_id == VERSION,
            )
            assert await store.put_version(version) == version
            assert await store.get_version(version_id) == version
            model = await store.get_model("demo", "noop")
            assert model is not None
            assert (model.latest_version_id, model.latest_version_at) == (version_id, version.created_at)
        assert [version.id for version in await store.list_versions("demo/noop")] == [OTHER_VERSION, VERSION]
        assert await store.version_ids("demo/noop") == [OTHER_VERSION, VERSION]
        assert await store.list_versions("demo/absent") == []
        assert await store.version_ids("demo/absent") == []
        assert await store.get_version("c" * 64) is None

    async def test_a_known_version_keeps_its_age(self, store: Store, maker: Maker) -> None:
        await store.put_model(self.model(maker))
        first = await store.put_version(self.version(maker))
        maker.clock.advance(10)
        again = await store.put_version(self.version(maker, source_digest="moved"))
        doubtful = msgspec.structs.replace(again, counts_written=True)
        assert await store.put_version(doubtful) == doubtful
        assert await store.put_version(again) == again
        assert again == msgspec.structs.replace(first, source_digest="moved")
        assert await store.get_version(VERSION) == again

    async def test_a_version_needs_its_model(self, store: Store, maker: Maker) -> None:
        with pytest.raises(NotFound, match="demo/noop"):
            await store.put_version(self.version(maker))
        assert await store.get_version(VERSION) is None

    async def test_the_newest_version_is_listed_first(self, store: Store, maker: Maker) -> None:
        for name, version_id in (("old", VERSION), ("young", OTHER_VERSION)):
            await store.put_model(self.model(maker, name))
            maker.clock.advance(10)
            await store.put_version(self.version(maker, version_id, name))
        assert [model.name for model in await store.list_models()] == ["young", "old"]
        versions = [age_of(model, of_creation=False) for model in await store.list_models()]
        assert await store.model_ages(of_creation=False) == versions
        await store.put_model(self.model(maker, "new"))
        await store.put_version(self.version(maker, VERSION, "old"))  # it keeps its age
        created = await store.model_ages(of_creation=True)
        assert [one.full_name for one in created] == ["demo/new", "demo/young", "demo/old"]
        assert [one.at for one in created] == sorted([one.at for one in created], reverse=True)

"""An item of a list that is kept encoded is what would be made of its row now, byte for byte."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from api.world import World
from halley.api.http.asgi import Variant
from halley.api.presentation.listed import ListedItems
from halley.api.presentation.present import encode
from halley.api.presentation.withheld import withholding
from halley.predictions.status import Fact

pytestmark = pytest.mark.anyio


def plain(world: World, row: Any, variant: Variant) -> bytes:
    return encode(world.api.parts.presenter.prediction(row, variant, with_logs=False))


def variant_of(world: World, **headers: str) -> Variant:
    named = {name.encode(): text.encode() for name, text in {"host": "localhost:1986", **headers}.items()}
    return world.api.variants.of(named, "", scheme="http", server=("127.0.0.1", 1986), client=("127.0.0.1", 1))


async def test_each_row_is_shown_as_it_is_now(world: World) -> None:
    kept, variant = world.api.parts.listed, variant_of(world)
    made = await world.create("acme/free")
    await world.start(made["id"])
    await world.log(made["id"], "not shown\n")
    await world.output(made["id"], "so far")
    running = await world.row(made["id"])
    assert kept.of(running, variant) == plain(world, running, variant)
    await world.finish(made["id"])
    failed = await world.create("acme/free")
    await world.start(failed["id"])
    await world.finish(failed["id"], Fact.FAILED, error="no")
    for name in (made["id"], failed["id"]):
        row = await world.row(name)
        first = kept.of(row, variant)
        assert first == plain(world, row, variant)
        assert kept.of(row, variant) is first  # kept
        elsewhere = variant_of(world, host="other:80")
        assert kept.of(row, elsewhere) == plain(world, row, elsewhere) != first


async def test_what_changes_after_the_end_is_seen(world: World) -> None:
    kept, variant = world.api.parts.listed, variant_of(world)
    made = await world.create("acme/free")
    await world.run(made["id"], "hello")
    row = await world.row(made["id"])
    before = kept.of(row, variant)
    for changed in (
        {"repeated_creates": 2},
        {"revision": row.revision + 1, "output": b'"other"'},
        {"data_removed_at": world.clock.now()},
    ):
        other = replace(row, **changed)
        assert kept.of(other, variant) == plain(world, other, variant) != before


async def test_links_are_renewed(world: World) -> None:
    kept, variant = world.api.parts.listed, variant_of(world)
    made = await world.create("acme/free")
    picture = await world.keep(made["id"], 0, "a.png", b"\x89PNG", "image/png")
    await world.run(made["id"], picture.ref, files=(picture,))
    row = await world.row(made["id"])
    before = kept.of(row, variant)
    world.clock.advance(timedelta(days=2).total_seconds())
    assert kept.of(row, variant) == plain(world, row, variant) != before


async def test_a_key_that_may_not_read_never_meets_what_is_kept(world: World) -> None:
    kept, variant = world.api.parts.listed, variant_of(world)
    made = await world.create("acme/free")
    await world.run(made["id"], "hello")
    row = await world.row(made["id"])
    for key in ("k1", "k2"):
        withheld = withholding(variant, key)
        assert kept.of(row, withheld) == plain(world, row, withheld) != kept.of(row, variant)


async def test_it_holds_only_so_many_bytes(world: World) -> None:
    kept, variant = ListedItems(world.api.parts.presenter, limit_bytes=4000), variant_of(world)
    rows = []
    for _ in range(10):
        made = await world.create("acme/free")
        await world.run(made["id"], "o" * 200)
        rows.append(await world.row(made["id"]))
    for row in rows:
        assert kept.of(row, variant) == plain(world, row, variant)
    assert 0 < len(kept) < 10
    assert kept.of(rows[0], variant) == plain(world, rows[0], variant)


async def test_a_page_is_the_same_when_its_items_are_kept(world: World) -> None:
    for _ in range(3):
        await world.run((await world.create("acme/free"))["id"], "hello")
    first = await world.get("/v1/predictions")
    assert (await world.get("/v1/predictions")).body == first.body
    assert len(world.api.parts.listed) == 3

"""Data whose time is over, and data that somebody wants removed: what the wire shows. Source: contract 8.5 and D13."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from api.test_server import connected, get, running, world_on_a_port
from api.world import Reply, World
from halley.api.http.asgi import Variant
from halley.predictions.records import OutputFile, Prediction
from halley.predictions.status import EventKind, Fact, Source
from halley.retention.retention_clock import SETTLE_SECONDS
from halley.settings import RetentionSettings
from halley.testing.blobs import stream

pytestmark = pytest.mark.anyio
ROOT = "http://localhost:1986"
HOUR, DAY = 3600.0, 86_400.0
HOOK = "https://receiver.example/hook"


@pytest.fixture
async def hourly() -> World:
    """A server that keeps the data of API-created predictions for an hour."""
    return await started(RetentionSettings(api="1h"))


async def started(retention: RetentionSettings) -> World:
    """A server that has looked at its clock."""
    world = await World(retention=retention).fill()
    assert await world.retention.look() == 0
    return world


async def painted(world: World, data: bytes = b"\x89PNG picture", **more: object) -> str:
    """A finished prediction with an output file, as output keeping leaves it."""
    body = {"version": "acme/paint", "input": {"prompt": "a secret"}, **more}
    made = (await world.post("/v1/predictions", body)).json()
    owner = {"owner_kind": "prediction", "owner_id": made["id"], "name": "a.png"}
    info = await world.blob_references.keep_stream(stream(data), 100, **owner)
    ref = f"asset:{made['id']}/0/a.png"
    file = OutputFile(
        ref=ref, index=0, name="a.png", sha256=info.sha256, size_bytes=info.size_bytes, content_type="image/png"
    )
    await world.start(made["id"])
    await world.log(made["id"], "a secret line\n")
    await world.output(made["id"], ref, files=(file,))
    await world.finish(made["id"])
    await world.store.deliveries.record([], (await world.store.read_log(limit=9999))[-1].offset)  # webhooks are told
    return str(made["id"])


async def shown(world: World, prediction_id: str) -> Reply:
    return await world.get(f"/v1/predictions/{prediction_id}")


def local(url: str) -> str:
    return url.removeprefix(ROOT)


async def assert_gone(world: World, prediction_id: str, before: dict[str, object]) -> None:
    """The wire shows no data, and everything else as before."""
    after = (await shown(world, prediction_id)).json()
    gone = {"data_removed": True, "output": None, "input": {}, "logs": ""}
    assert after == before | gone
    listed = (await world.get("/v1/predictions?include=logs")).json()["results"]
    assert after in listed
    assert (await world.get(local(str(before["output"])))).status == 404
    assert (await world.get(local(before["urls"]["stream"]), token=None)).status == 404  # type: ignore[index]
    page = await world.get(local(before["urls"]["web"]), token=None)  # type: ignore[index]
    assert (page.status, b"were removed" in page.body) == (410, True)
    assert b"secret" not in page.body
    assert b"Metrics" not in page.body
    log = await world.get(f"/v1/predictions/{prediction_id}/events")
    assert (log.status, b"secret" in log.body, b'"succeeded"' in log.body) == (200, False, True)


async def test_data_is_there_until_its_time_is_over_and_not_a_moment_longer(hourly: World) -> None:
    prediction_id = await painted(hourly, webhook=HOOK)
    before = (await shown(hourly, prediction_id)).json()
    assert (before["input"], before["logs"]) == ({"prompt": "a secret"}, "a secret line\n")
    hourly.clock.advance(HOUR - 1)
    assert await hourly.retention.look() == 0
    assert (await shown(hourly, prediction_id)).json() == before
    assert (await hourly.get(local(before["output"]))).status == 200
    hourly.clock.advance(1)
    await assert_gone(hourly, prediction_id, before)  # nobody has looked yet: it is withheld
    assert before["webhook"] == HOOK
    assert before["metrics"]["predict_time"] == 0.5


async def test_what_is_withheld_and_what_is_removed_look_the_same(hourly: World) -> None:
    prediction_id = await painted(hourly)
    before = await shown(hourly, prediction_id)
    hourly.clock.advance(HOUR)
    withheld = await shown(hourly, prediction_id)
    assert await hourly.retention.look() == 1
    removed = await shown(hourly, prediction_id)
    assert withheld.body == removed.body
    assert withheld.headers["etag"] == removed.headers["etag"] != before.headers["etag"]
    row = await hourly.row(prediction_id)
    assert (row.data_removed_at, row.input, row.output, row.files, row.logs) == (
        hourly.clock.now(),
        b"{}",
        None,
        (),
        "",
    )
    kinds = [event.kind for event in await hourly.store.read_events(prediction_id)]
    assert kinds == [EventKind.CREATED, EventKind.STARTED, EventKind.FINISHED, EventKind.DATA_REMOVED]
    assert await hourly.blobs.stored("", 9, 0) == []
    assert await hourly.retention.look() == 0
    await assert_gone(hourly, prediction_id, before.json())


async def test_an_old_etag_is_not_taken_for_what_was_removed(hourly: World) -> None:
    prediction_id = await painted(hourly)
    known = {"If-None-Match": (await shown(hourly, prediction_id)).headers["etag"]}
    assert (await hourly.get(f"/v1/predictions/{prediction_id}", headers=known)).status == 304
    hourly.clock.advance(HOUR)
    assert (await hourly.get(f"/v1/predictions/{prediction_id}", headers=known)).json()["data_removed"] is True


async def test_the_short_cut_ends_with_the_data() -> None:
    world = await world_on_a_port(retention=RetentionSettings(api="1h"))
    prediction_id = await painted(world)
    await world.keys.verify(world.token)
    world.clock.advance(HOUR - 2)
    async with running(world) as server, connected(server) as wire:
        for _ in range(2):
            await wire.send(get(f"/v1/predictions/{prediction_id}", world.token))
            assert b"a secret line" in (await wire.answer())[1]
        world.clock.advance(2)  # well within the seconds for which an answer is fresh otherwise
        await wire.send(get(f"/v1/predictions/{prediction_id}", world.token))
        assert b'"data_removed":true' in (await wire.answer())[1]


async def test_every_answer_has_links_that_live_for_half_their_life_or_as_long_as_the_data() -> None:
    world = await started(RetentionSettings(api="30d"))
    prediction_id = await painted(world)
    ends_at = world.clock.now() + timedelta(days=30)
    for _ in range(90):
        link = local((await shown(world, prediction_id)).json()["output"])
        left = world.links.verify(link.split("/")[2]).expires_at - world.clock.now().timestamp()
        until_the_end = (ends_at - world.clock.now()).total_seconds()
        assert min(DAY / 2, until_the_end - 1) <= left <= min(DAY, until_the_end)
        assert (await world.get(link)).status == 200
        world.clock.advance(DAY / 3 - 1)
    world.clock.advance(90)
    assert (await shown(world, prediction_id)).json()["data_removed"] is True


async def test_a_longer_period_gives_fresh_links_at_once(hourly: World) -> None:
    """Otherwise an answer that is kept would go on with links that end an hour after the end."""
    prediction_id = await painted(hourly)
    key = (await hourly.keys.verify(hourly.token)).key
    hourly.clock.advance(HOUR - 60)
    await shown(hourly, prediction_id)
    await hourly.keys.change_options(key.id, {"retention": "never"})
    hourly.clock.advance(30)
    link = local((await shown(hourly, prediction_id)).json()["output"])
    hourly.clock.advance(HOUR)
    assert (await hourly.get(link)).status == 200
    assert await hourly.retention.look() == 0


async def test_a_shorter_period_counts_for_what_is_old() -> None:
    world = await started(RetentionSettings())
    prediction_id = await painted(world)
    world.clock.advance(2 * HOUR)
    assert (await shown(world, prediction_id)).json()["data_removed"] is False
    key = (await world.keys.verify(world.token)).key
    await world.keys.change_options(key.id, {"retention": "1h"})
    assert (await shown(world, prediction_id)).json()["data_removed"] is True
    assert await world.retention.look() == 1


async def test_predictions_of_the_playground_are_kept(hourly: World) -> None:
    prediction_id = await painted(hourly)
    entry = hourly.store._entries[prediction_id]
    entry.prediction = entry.prediction.__class__(**{**_members(entry.prediction), "source": Source.WEB})
    hourly.clock.advance(400 * DAY)
    assert await hourly.retention.look() == 0
    assert (await shown(hourly, prediction_id)).json()["data_removed"] is False


def _members(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__struct_fields__}  # type: ignore[attr-defined]


async def test_what_runs_or_waits_keeps_its_data_however_old(hourly: World) -> None:
    waits, runs = [(await hourly.create())["id"] for _ in range(2)]
    await hourly.start(runs)
    await hourly.output(runs, "so far")
    hourly.clock.advance(400 * DAY)
    assert await hourly.retention.look() == 0
    assert (await shown(hourly, waits)).json()["input"] == {"prompt": "hi"}
    assert (await shown(hourly, runs)).json()["output"] == "so far"
    await hourly.finish(runs)
    assert (await shown(hourly, runs)).json()["data_removed"] is False, "the period begins with the end"


async def test_a_clock_that_jumps_a_day_ahead_deletes_nothing(hourly: World) -> None:
    prediction_id = await painted(hourly)
    before = (await shown(hourly, prediction_id)).json()
    assert await hourly.retention.look() == 0
    hourly.clock.jump(DAY)
    for _ in range(50):
        assert await hourly.retention.look() == 0
        assert (await shown(hourly, prediction_id)).json()["data_removed"] is True, "withheld"
        hourly.clock.advance(60)
    hourly.clock.jump(-DAY)
    after = (await shown(hourly, prediction_id)).json()
    assert after == before | {"output": after["output"]}
    assert (await hourly.get(local(after["output"]))).body == b"\x89PNG picture"
    hourly.clock.advance(HOUR)
    assert await hourly.retention.look() == 1


async def test_a_clock_that_stays_a_day_ahead_is_accepted(hourly: World) -> None:
    await painted(hourly)
    assert await hourly.retention.look() == 0
    hourly.clock.jump(DAY)
    assert await hourly.retention.look() == 0
    hourly.clock.advance(SETTLE_SECONDS)
    assert await hourly.retention.look() == 1


async def test_a_clock_that_is_set_back_a_day_only_delays(hourly: World) -> None:
    prediction_id = await painted(hourly)
    await hourly.retention.look()
    hourly.clock.jump(-DAY)
    hourly.clock.advance(HOUR)
    assert await hourly.retention.look() == 0
    assert (await shown(hourly, prediction_id)).json()["data_removed"] is False
    hourly.clock.advance(DAY)
    assert await hourly.retention.look() == 1


async def test_data_is_removed_at_once_on_request(world: World) -> None:
    prediction_id, other = await painted(world, webhook=HOOK), await painted(world)
    before = (await shown(world, prediction_id)).json()
    path = f"/v1/predictions/{prediction_id}/data"
    for _ in range(2):
        reply = await world.request("DELETE", path)
        assert (reply.status, reply.body) == (204, b"")
    await assert_gone(world, prediction_id, before)
    link = local((await shown(world, other)).json()["output"])
    assert (await world.get(link)).status == 200, "equal bytes of another prediction stay"
    await world.request("DELETE", f"/v1/predictions/{other}/data")
    assert await world.blobs.stored("", 9, 0) == []


async def test_an_answer_that_was_being_made_is_not_given_again_after_the_removal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction_id = await painted(world)
    encoded, begun, removed = world.api.parts.presenter.encoded, asyncio.Event(), asyncio.Event()

    async def slow(row: Prediction, variant: Variant) -> bytes:
        begun.set()
        await removed.wait()  # as the reading of files for `data:` URLs
        return await encoded(row, variant)

    monkeypatch.setattr(world.api.parts.presenter, "encoded", slow)
    asked = asyncio.ensure_future(shown(world, prediction_id))
    await begun.wait()
    await world.request("DELETE", f"/v1/predictions/{prediction_id}/data")
    removed.set()
    variant = world.api.variants.of({b"host": b"localhost:1986"}, "", scheme="http", server=None, client=None)
    assert (await asked).json()["input"] == {"prompt": "a secret"}
    key = ((await world.row(prediction_id)).account_id, prediction_id, variant.number)
    assert world.api.parts.cache.fresh(key, world.clock.monotonic()) is None
    assert (await shown(world, prediction_id)).json()["input"] == {}


async def test_a_file_that_was_being_found_is_not_served_after_the_removal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction_id, other = await painted(world), await painted(world)  # the bytes stay with the other one
    link = local((await shown(world, prediction_id)).json()["output"])
    output_file, begun, removed = world.predictions.output_file, asyncio.Event(), asyncio.Event()

    async def slow(*found: Any, **how: Any) -> OutputFile | None:
        file = await output_file(*found, **how)
        begun.set()
        await removed.wait()
        return file

    monkeypatch.setattr(world.predictions, "output_file", slow)
    asked = asyncio.ensure_future(world.get(link, token=None))
    await begun.wait()
    await world.request("DELETE", f"/v1/predictions/{prediction_id}/data")
    removed.set()
    assert (await asked).status == 200
    assert (await world.get(link, token=None)).status == 404
    assert (await world.get(local((await shown(world, other)).json()["output"]), token=None)).status == 200


async def test_what_is_not_over_is_not_removed(world: World) -> None:
    for begins in (False, True):
        prediction_id = (await world.create())["id"]
        if begins:
            await world.start(prediction_id)
        reply = await world.request("DELETE", f"/v1/predictions/{prediction_id}/data")
        assert (reply.status, reply.headers["x-should-retry"]) == (409, "false")
        assert "Cancel it first" in reply.json()["detail"]
        assert (await shown(world, prediction_id)).json()["input"] == {"prompt": "hi"}


async def test_what_was_canceled_may_be_removed_while_its_model_still_stops(world: World) -> None:
    prediction_id = (await world.create())["id"]
    await world.start(prediction_id)
    await world.log(prediction_id, "a secret line\n")
    await world.post(f"/v1/predictions/{prediction_id}/cancel")
    assert (await world.request("DELETE", f"/v1/predictions/{prediction_id}/data")).status == 204
    # the run is not done yet, and keeps one more file
    owner = {"owner_kind": "prediction", "owner_id": prediction_id, "name": "late.png"}
    await world.blob_references.keep_stream(stream(b"late"), 100, **owner)
    await world.finish(prediction_id, Fact.SUCCEEDED)
    after = (await shown(world, prediction_id)).json()
    assert (after["status"], after["data_removed"], after["logs"]) == ("canceled", True, "")
    await world.retention.sweep(0)
    assert await world.blobs.stored("", 9, 0) == []


@pytest.mark.parametrize("path", ["0" * 26, "nonsense", "%2e%2e"])
async def test_the_data_of_nothing_is_404(world: World, path: str) -> None:
    assert (await world.request("DELETE", f"/v1/predictions/{path}/data")).status == 404

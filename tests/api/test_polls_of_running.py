"""Polls of a running prediction: each shows all that is stored, and reads only what is new."""

import asyncio
from typing import Any

import pytest

from api.world import World, settled
from halley.assets.links import DEFAULT_LINK_SECONDS
from halley.predictions.records import Prediction
from halley.predictions.status import EventKind, Fact

pytestmark = pytest.mark.anyio


async def test_a_poll_reads_what_came_since_the_last_one_and_nothing_twice(world: World) -> None:
    made = await world.create("acme/tokens")
    path, read = f"/v1/predictions/{made['id']}", world.counting.events_read
    await world.start(made["id"])
    for number in range(4):
        await world.output(made["id"], f"word {number}", add=True)
        await world.log(made["id"], f"line {number}\n")
    first = (await world.get(path)).json()
    assert (first["output"], first["logs"]) == (
        [f"word {n}" for n in range(4)],
        "".join(f"line {n}\n" for n in range(4)),
    )
    read.clear()
    again = await world.get(path)
    assert (again.json(), read) == (first, [])
    for number in range(4, 6):
        await world.output(made["id"], f"word {number}", add=True)
    grown = (await world.get(path)).json()
    assert (grown["output"], grown["logs"]) == ([f"word {n}" for n in range(6)], first["logs"])
    assert read == [2]
    unchanged = await world.get(path, headers={"If-None-Match": (await world.get(path)).headers["etag"]})
    assert (unchanged.status, read) == (304, [2])
    await world.finish(made["id"])
    assert (await world.get(path)).json()["status"] == "succeeded"


@pytest.mark.parametrize("hinted", [True, False])
async def test_what_is_stored_is_shown_whether_anybody_hinted_at_it_or_not(
    world: World, monkeypatch: pytest.MonkeyPatch, *, hinted: bool
) -> None:
    if not hinted:
        monkeypatch.setattr(world.bus, "publish", lambda _: None)
    made = await world.create("acme/tokens")
    path = f"/v1/predictions/{made['id']}"

    async def shown(name: str, token: str | None = None) -> object:
        return (await world.get(path, **({} if token is None else {"token": token}))).json()[name]

    await world.start(made["id"])
    assert await shown("status") == "processing"
    await world.log(made["id"], "one\n")
    assert await shown("logs") == "one\n"
    await world.output(made["id"], "a", add=True)
    assert await shown("output") == ["a"]
    await world.predictions.note_repeat(made["id"], "retry_counter")
    assert await shown("repeated_creates") == 1
    assert (await world.get(path, token=world.other_token)).status == 404
    await world.finish(made["id"], Fact.FAILED, error="no more")
    assert (await shown("status"), await shown("error")) == ("failed", "no more")
    assert await shown("output") == ["a"]


async def test_changes_between_row_and_events_are_streamed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has been told of it is held at the next poll, so it must really have been told."""
    made = await world.create("acme/tokens")
    path, client = f"/v1/predictions/{made['id']}", {"user-agent": "replicate-python/1.0.7"}
    await world.start(made["id"])
    await world.output(made["id"], "a", add=True)
    assert (await world.get(path, headers=client)).json()["output"] == ["a"]
    get = world.store.get

    async def then_more(prediction_id: str, account_id: str | None = None) -> Prediction | None:
        row = await get(prediction_id, account_id)
        monkeypatch.setattr(world.store, "get", get)
        with monkeypatch.context() as late:
            late.setattr(world.bus, "publish", lambda _: None)  # the hint comes after the answer
            await world.output(made["id"], "b", add=True)
        return row

    monkeypatch.setattr(world.store, "get", then_more)
    assert (await world.get(path, headers=client)).json()["output"] == ["a", "b"]
    held = asyncio.ensure_future(world.get(path, headers=client))
    await settled()
    assert not held.done()
    await world.output(made["id"], "c", add=True)
    assert (await held).json()["output"] == ["a", "b", "c"]


async def test_links_whose_half_life_passes_while_they_are_encoded_are_not_kept_for_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await world.create("acme/paint")
    path, half = f"/v1/predictions/{made['id']}", DEFAULT_LINK_SECONDS / 2
    file = await world.keep(made["id"], 0, "a.png", b"png", "image/png")
    await world.run(made["id"], file.ref, files=(file,))
    world.clock.advance(half - world.clock.now().timestamp() % half - 0.5)
    encoded = world.api.parts.presenter.encoded

    async def slowly(*given: Any) -> bytes:
        body = await encoded(*given)
        world.clock.advance(1)
        return body

    with monkeypatch.context() as patch:
        patch.setattr(world.api.parts.presenter, "encoded", slowly)
        await world.get(path)
    world.clock.advance(half - 10)
    link = (await world.get(path)).json()["output"].split("/d/")[1]
    assert int(link.split("-")[2], 36) - world.clock.now().timestamp() >= half


async def test_metrics_as_deep_as_json_goes_can_be_polled(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    deep = "[" * 600 + "]" * 600
    await world.say(made["id"], EventKind.METRIC_RECORDED, f'{{"name":"m","value":{deep},"mode":"replace"}}'.encode())
    for path in (f"/v1/predictions/{made['id']}", "/v1/predictions"):
        reply = await world.get(path)
        assert (reply.status, deep in reply.body.decode()) == (200, True)


async def test_why_it_has_not_started_is_never_an_old_answer(world: World) -> None:
    made = await world.create("acme/echo")
    path = f"/v1/predictions/{made['id']}"
    assert "starting_reason" not in (await world.get(path)).json()
    world.why_starting = "its environment is being built"
    assert (await world.get(path)).json()["starting_reason"] == "its environment is being built"

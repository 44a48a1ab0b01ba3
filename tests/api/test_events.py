"""The log of a prediction in our own words: pages and streams."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from api.world import World, settled
from halley.api.resources.events import NAMES
from halley.predictions.status import EventKind, Fact
from halley.testing.stores.maker import on_duty

pytestmark = pytest.mark.anyio
STREAM = {"Accept": "text/event-stream"}


async def lived(world: World) -> str:
    """A prediction to which everything happened that can happen."""
    made = await world.create("acme/frames")
    name = made["id"]
    await world.start(name)
    file = await world.keep(name, 0, "a.png", b"0", "image/png")
    await world.log(name, "line\r\n\u2028")
    await world.say(name, EventKind.ATTEMPT_LOST, b'"--- lost ---"')
    await world.say(name, EventKind.METRIC_RECORDED, b'{"name":"tokens","value":3,"mode":"replace"}')
    await world.say(name, EventKind.PROGRESSED, b'{"fraction":0.5,"current":4,"total":8}')
    await world.output(name, {"image": file.ref, "n": [1]}, files=(file,), add=True)
    await world.finish(name, Fact.FAILED, error="broke")
    return str(name)


def parsed(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream; name, id and data must agree."""
    found = []
    for block in body.decode().split("\n\n"):
        if not block or block.startswith(":"):
            continue
        name, number, data = block.split("\n")
        item = json.loads(data.removeprefix("data: "))
        assert name == f"event: {item['event']}"
        assert number == f"id: {item['seq']}"
        found.append(item)
    return found


async def test_everything_is_sent_in_one_order(world: World) -> None:
    name = await lived(world)
    reply = await world.get(f"/v1/predictions/{name}/events")
    page = reply.json()
    assert (page["next"], page["previous"]) == (None, None)
    told = [(item["seq"], item["event"], item["data"]) for item in page["results"]]
    link = told[6][2]["value"]["image"]
    assert told == [
        (1, "status", {"status": "starting"}),
        (2, "status", {"status": "processing"}),
        (3, "logs", {"text": "line\r\n\u2028"}),
        (4, "attempt_lost", {"text": "--- lost ---"}),
        (5, "metric", {"name": "tokens", "value": 3, "mode": "replace"}),
        (6, "progress", {"fraction": 0.5, "current": 4, "total": 8}),
        (7, "output", {"value": {"image": link, "n": [1]}, "is_item": True}),
        (8, "status", {"status": "failed", "error": "broke"}),
    ]
    assert link.startswith("http://localhost:1986/d/")
    assert (await world.get(link.removeprefix("http://localhost:1986"), token=None)).body == b"0"
    assert [item["attempt"] for item in page["results"]] == [0, *[1] * 7]
    assert all(item["at"].endswith("Z") for item in page["results"])
    stream = await world.get(f"/v1/predictions/{name}/events", headers=STREAM)
    assert stream.headers["content-type"] == "text/event-stream"
    assert parsed(stream.body) == page["results"]


def test_every_kind_of_event_has_a_word() -> None:
    assert set(NAMES) == set(EventKind)


async def test_a_cancel_request_is_streamed_before_the_end(world: World) -> None:
    made = await world.create("acme/free")
    await world.post(f"/v1/predictions/{made['id']}/cancel")
    page = (await world.get(f"/v1/predictions/{made['id']}/events")).json()
    assert [(item["event"], item["data"]) for item in page["results"][1:]] == [
        ("cancel_requested", {}),
        ("status", {"status": "canceled"}),
    ]


async def test_pages_follow_each_other(world: World) -> None:
    name = await lived(world)
    seen: list[int] = []
    url: str | None = f"http://localhost:1986/replicate/v1/predictions/{name}/events?limit=3"
    while url:
        page = (await world.get(url.removeprefix("http://localhost:1986"))).json()
        assert len(page["results"]) <= 3
        seen += [item["seq"] for item in page["results"]]
        url = page["next"]
        assert url is None or url.startswith("http://localhost:1986/replicate/v1/predictions/")
    assert seen == list(range(1, 9))
    behind = (await world.get(f"/v1/predictions/{name}/events?after=8")).json()
    assert (behind["results"], behind["next"]) == ([], None)


async def test_large_events_make_smaller_pages(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    for _ in range(4):
        await world.output(made["id"], "x" * 600_000, add=True)
    page = (await world.get(f"/v1/predictions/{made['id']}/events")).json()
    assert len(page["results"]) == 4
    assert page["next"].endswith("events?after=4")


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=1.5", "limit=many", "after=" + "9" * 40, "limit=-3"])
async def test_what_makes_no_sense_is_refused_by_name(world: World, query: str) -> None:
    name = await lived(world)
    reply = await world.get(f"/v1/predictions/{name}/events?{query}")
    assert reply.status == 422
    assert query.partition("=")[0] in reply.json()["detail"]


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/event-stream", True),
        ("TEXT/EVENT-STREAM; q=0.9", True),
        ("application/json, text/event-stream", False),
        ("text/event-stream, application/json", True),
    ],
)
async def test_accept_decides(world: World, accept: str, is_stream: bool) -> None:
    name = await lived(world)
    reply = await world.get(f"/v1/predictions/{name}/events", headers={"Accept": accept})
    assert (reply.headers["content-type"] == "text/event-stream") == is_stream


async def test_a_stream_resumes_after_every_event(world: World) -> None:
    name = await lived(world)
    whole = parsed((await world.get(f"/v1/predictions/{name}/events", headers=STREAM)).body)
    for cut in range(1, len(whole)):
        by_header = await world.get(f"/v1/predictions/{name}/events", headers={**STREAM, "Last-Event-ID": str(cut)})
        by_query = await world.get(f"/v1/predictions/{name}/events?after={cut}", headers=STREAM)
        assert whole[:cut] + parsed(by_header.body) == whole
        assert by_query.body == by_header.body
    both = await world.get(f"/v1/predictions/{name}/events?after=1", headers={**STREAM, "Last-Event-ID": "6"})
    assert parsed(both.body) == whole[6:], "where the reader really is counts"


async def test_a_reader_that_reconnects_after_the_end_gets_204(world: World) -> None:
    name = await lived(world)
    reply = await world.get(f"/v1/predictions/{name}/events", headers={**STREAM, "Last-Event-ID": "8"})
    assert (reply.status, reply.body) == (204, b"")


@pytest.mark.parametrize("last", ["99", "x", "1:2", "-3"])
async def test_an_event_id_that_was_never_sent_starts_from_the_beginning(world: World, last: str) -> None:
    name = await lived(world)
    reply = await world.get(f"/v1/predictions/{name}/events", headers={**STREAM, "Last-Event-ID": last})
    assert len(parsed(reply.body)) == 8


async def test_it_follows_until_the_end(world: World) -> None:
    made = await world.create("acme/tokens")
    seen: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        seen.append(chunk)

    address = f"/v1/predictions/{made['id']}/events"
    reading = asyncio.ensure_future(world.get(address, headers=STREAM, on_chunk=keep))
    await settled()
    await world.start(made["id"])
    await world.output(made["id"], "a", add=True)
    await settled()
    assert [item["event"] for item in parsed(b"".join(seen))] == ["status", "status", "output"]
    recorded = await world.get(address + "?follow=0", headers=STREAM)
    assert parsed(recorded.body) == parsed(b"".join(seen))
    await world.finish(made["id"])
    await reading
    assert parsed(seen[-1])[-1]["data"] == {"status": "succeeded"}


async def test_an_aborted_one_is_shown_as_everywhere_else(world: World) -> None:
    made = await world.create("acme/free", headers={"Cancel-After": "5s"})
    world.clock.advance(6)
    await world.store.expire(await on_duty(world.store), world.clock.now(), 1e6)
    last = (await world.get(f"/v1/predictions/{made['id']}/events")).json()["results"][-1]
    assert last["data"] == {"status": "canceled", "termination_reason": "deadline_before_start"}


async def test_what_stays_after_removal_is_still_sent(world: World) -> None:
    name = await lived(world)
    entry = world.store._entries[name]
    entry.prediction = msgspec.structs.replace(entry.prediction, data_removed_at=world.clock.now())
    entry.events = [event for event in entry.events if event.kind in (EventKind.CREATED, EventKind.FINISHED)]
    reply = await world.get(f"/v1/predictions/{name}/events", headers=STREAM)
    assert [item["seq"] for item in parsed(reply.body)] == [1, 8]


async def test_streams_answer_head(world: World) -> None:
    name = await lived(world)
    head = await world.request("HEAD", f"/v1/predictions/{name}/events", headers=STREAM)
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", "text/event-stream")

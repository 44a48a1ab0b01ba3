"""Event streams, to the byte. Source: contract sections 0.8 and 12."""

import asyncio
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
import pytest

from api.world import World, settled
from halley.api.waiting import sse, streams
from halley.api.waiting.streams import EVENTS_AT_ONCE, frame
from halley.predictions.hints import Changed
from halley.predictions.status import EventKind, Fact
from halley.testing.stores.maker import on_duty

pytestmark = pytest.mark.anyio
SECONDS = 1768040430  # of the fake clock


def path(url: str) -> str:
    return url.removeprefix("http://localhost:1986")


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (" a", "data:  a\n"),
        ("a\nb", "data: a\ndata: b\n"),
        ("a\r\nb\rc", "data: a\ndata: b\ndata: c\n"),
        ("a\n", "data: a\ndata: \n"),
        ("\n\n", "data: \ndata: \ndata: \n"),
        ("a\u2028b\u0085c", "data: a\u2028b\u0085c\n"),
        ("é😀", "data: é😀\n"),
    ],
)
def test_data_becomes_lines(data: str, lines: str) -> None:
    assert frame("output", "1:2", data) == f"event: output\nid: 1:2\n{lines}\n".encode()


async def test_a_finished_stream_is_replayed_to_the_byte(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    for text in ("Once upon", " a time", "", "\n"):
        await world.output(made["id"], text, add=True)
    await world.log(made["id"], "thinking")
    await world.finish(made["id"])
    at = int(world.clock.now().timestamp())
    reply = await world.get(path(made["urls"]["stream"]), token=None)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.body.decode() == (
        ": hi\n\n"
        f"event: output\nid: {at}:3\ndata: Once upon\n\n"
        f"event: output\nid: {at}:4\ndata:  a time\n\n"
        f"event: output\nid: {at}:6\ndata: \ndata: \n\n"
        f"event: done\nid: {at}:8\ndata: {{}}\n\n"
    )
    assert len(reply.chunks) == 1
    with_logs = await world.get(path(made["urls"]["stream"]) + "?logs=1", token=None)
    assert f"event: logs\nid: {at}:7\ndata: thinking\n\n".encode() in with_logs.body


async def test_it_follows_what_comes_and_ends(world: World) -> None:
    made = await world.create("acme/tokens")
    seen: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        seen.append(chunk)

    reading = asyncio.ensure_future(world.get(path(made["urls"]["stream"]), token="nonsense", on_chunk=keep))
    await settled()
    assert seen == [b": hi\n\n"]
    await world.start(made["id"])
    await settled()
    assert len(seen) == 1
    await world.output(made["id"], "a", add=True)
    await world.output(made["id"], "b", add=True)
    await settled()
    assert len(seen) == 2, "both events of one turn come in one write"
    await world.finish(made["id"])
    await reading
    assert seen[-1].startswith(b"event: done")


@pytest.mark.parametrize("last", ["{at}:3", "{at}:3 "])
async def test_it_continues_after_the_last_event(world: World, last: str) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    for text in ("a", "b"):
        await world.output(made["id"], text, add=True)
    await world.finish(made["id"])
    at = int(world.clock.now().timestamp())
    sent = {"Last-Event-ID": last.format(at=at)}
    reply = await world.get(path(made["urls"]["stream"]), headers=sent, token=None)
    assert reply.body.decode() == (
        f": hi\n\nevent: output\nid: {at}:4\ndata: b\n\nevent: done\nid: {at}:5\ndata: {{}}\n\n"
    )


@pytest.mark.parametrize("number", [3, 4])
async def test_a_reader_that_got_the_end_gets_it_again(world: World, number: int) -> None:
    # a browser's EventSource comes back by itself; held open, it would wait for ever
    made = await world.create("acme/free")
    await world.run(made["id"], "x")
    at = int(world.clock.now().timestamp())
    reply = await world.get(path(made["urls"]["stream"]), headers={"Last-Event-ID": f"{at}:{number}"}, token=None)
    assert reply.body.decode() == f": hi\n\nevent: done\nid: {at}:4\ndata: {{}}\n\n"


def ids_of(body: bytes) -> list[str]:
    return [line.removeprefix(b"id: ").decode() for line in body.split(b"\n") if line.startswith(b"id: ")]


def blocks_of(body: bytes) -> list[bytes]:
    return [block for block in body.split(b"\n\n") if block.startswith(b"event: ")]


@pytest.mark.parametrize("query", ["", "?logs=1"])
@pytest.mark.parametrize("ended", [True, False])
async def test_a_cut_at_every_event_loses_nothing_and_repeats_nothing(world: World, query: str, ended: bool) -> None:
    made = await world.create("acme/frames")
    await world.start(made["id"])
    files = tuple([await world.keep(made["id"], n, f"{n}.png", b"%d" % n, "image/png") for n in range(3)])
    for n in range(4):
        world.clock.advance(0.7)  # the second in the id changes now and then
        await world.output(made["id"], f"line {n}\n", add=True)
        await world.log(made["id"], f"log {n}\n")
        await world.output(made["id"], [file.ref for file in files], files=files, add=True)
    if ended:
        await world.finish(made["id"], Fact.FAILED, error="at the end")
    stream = path(made["urls"]["stream"]) + query
    whole = blocks_of(await self_closing(world, stream))
    ids = ids_of(b"\n".join(whole))
    assert len(ids) == len(set(ids)) == (4 * 4 + (4 if query else 0) + (2 if ended else 0))
    for cut, last in enumerate(ids[:-1] if ended else ids, 1):
        rest = blocks_of(await self_closing(world, stream, last))
        assert whole[:cut] + rest == whole, last


async def self_closing(world: World, stream: str, last: str = "") -> bytes:
    """What a stream tells; one that stays open is left once it has told what is recorded."""
    told: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        told.append(chunk)

    reading = asyncio.ensure_future(world.get(stream, headers={"Last-Event-ID": last}, token=None, on_chunk=keep))
    await settled(40)
    world.api.release_waiting()
    await reading
    world.hub.is_closed = False
    return b"".join(told)


@pytest.mark.parametrize("last", ["", "x", "1:2:3", "-1", "9" * 40, "1:", "0:3", "{at}:0", "{at}:999", "{at}:3.x"])
async def test_an_unknown_event_id_starts_from_the_beginning(world: World, last: str) -> None:
    made = await world.create("acme/free")
    await world.run(made["id"], "x")
    sent = {"Last-Event-ID": last.format(at=int(world.clock.now().timestamp()))}
    reply = await world.get(path(made["urls"]["stream"]), headers=sent, token=None)
    assert b"data: x\n" in reply.body


async def test_an_id_of_another_stream_leaves_no_gap(world: World) -> None:
    first, second = await world.create("acme/tokens"), None
    await world.start(first["id"])
    for text in "abcdef":
        await world.output(first["id"], text, add=True)
    world.clock.advance(10)
    second = await world.create("acme/tokens")
    await world.start(second["id"])
    for text in "uvwxyz":
        await world.output(second["id"], text, add=True)
    ids = ids_of(await self_closing(world, path(first["urls"]["stream"])))
    for last in ids:
        told = await self_closing(world, path(second["urls"]["stream"]), last)
        assert [block.rpartition(b" ")[2] for block in blocks_of(told)] == [b"u", b"v", b"w", b"x", b"y", b"z"]


async def test_other_values_are_json_text(world: World) -> None:
    made = await world.create("acme/free")
    await world.run(made["id"], {"a": [1, None]})
    reply = await world.get(path(made["urls"]["stream"]), token=None)
    assert b'data: {"a":[1,null]}\n' in reply.body


async def test_an_iterator_without_items_streams_no_output(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    await world.output(made["id"], [])
    await world.finish(made["id"], Fact.SUCCEEDED)
    answer = await world.get(path(made["urls"]["stream"]))
    assert b"event: output" not in answer.body
    assert b"event: done" in answer.body


async def test_a_failure_is_an_error_then_done(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    await world.finish(made["id"], Fact.FAILED, error='ValueError: "x"\nsecond line')
    at = int(world.clock.now().timestamp())
    body = (await world.get(path(made["urls"]["stream"]), token=None)).body.decode()
    assert body == (
        ": hi\n\n"
        f'event: error\nid: {at}:3.0\ndata: {{"detail":"ValueError: \\"x\\"\\nsecond line"}}\n\n'
        f'event: done\nid: {at}:3\ndata: {{"reason":"error"}}\n\n'
    )
    again = await world.get(path(made["urls"]["stream"]), headers={"Last-Event-ID": f"{at}:3.0"}, token=None)
    assert again.body.decode() == f': hi\n\nevent: done\nid: {at}:3\ndata: {{"reason":"error"}}\n\n'


async def test_a_reader_that_got_the_end_gets_it_again_under_the_same_id(world: World) -> None:
    counts = [{"X-Stainless-Retry-Count": str(number)} for number in range(3)]
    body = {"version": "acme/tokens", "input": {}}
    made = (await world.post("/v1/predictions", body, headers=counts[0])).json()
    await world.run(made["id"], "all")
    link = path(made["urls"]["stream"])
    told = (await world.get(link, token=None)).body
    done = ids_of(told)[-1]
    for headers in counts[1:]:
        world.clock.advance(5)
        assert (await world.post("/v1/predictions", body, headers=headers)).json()["id"] == made["id"]
        again = (await world.get(link, headers={"Last-Event-ID": done}, token=None)).body
        assert (b"event: output" in again, ids_of(again)) == (False, [done])


async def test_a_cancel_is_done_with_its_reason(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.post(f"/v1/predictions/{made['id']}/cancel")
    body = (await world.get(path(made["urls"]["stream"]), token=None)).body
    assert body.endswith(b'data: {"reason":"canceled"}\n\n')
    assert b"event: error" not in body


@pytest.mark.parametrize("prefix", ["/v1", "/replicate/v1"])
async def test_file_streams_live_under_files_at_the_root(world: World, prefix: str) -> None:
    made = (await world.post(f"{prefix}/predictions", {"version": "acme/frames", "input": {}})).json()
    assert made["urls"]["stream"].startswith("http://localhost:1986/v1/files/stream-")
    await world.start(made["id"])
    files = [await world.keep(made["id"], n, f"{n}.png", b"%d" % n, "image/png") for n in range(2)]
    for file in files:
        await world.output(made["id"], file.ref, files=(file,), add=True)
    await world.finish(made["id"])
    body = (await world.get(path(made["urls"]["stream"]), token=None)).body
    links = [line.removeprefix(b"data: ").decode() for line in body.split(b"\n") if line.startswith(b"data: http")]
    assert [link.rpartition("/")[2] for link in links] == ["0.png", "1.png"]
    assert (await world.get(path(links[1]), token=None)).body == b"1"


async def test_a_list_of_files_is_streamed_file_by_file_and_can_be_resumed_inside(world: World) -> None:
    made = await world.create("acme/frames")
    await world.start(made["id"])
    files = tuple([await world.keep(made["id"], n, f"{n}.png", b"%d" % n, "image/png") for n in range(3)])
    await world.output(made["id"], [file.ref for file in files], files=files)
    await world.finish(made["id"])
    whole = (await world.get(path(made["urls"]["stream"]), token=None)).body
    assert whole.count(b"event: output") == 3
    at = int(world.clock.now().timestamp())
    rest = await world.get(path(made["urls"]["stream"]), headers={"Last-Event-ID": f"{at}:3.0"}, token=None)
    assert rest.body.count(b"event: output") == 2


@contextmanager
def slow_reads(world: World, monkeypatch: pytest.MonkeyPatch):
    """What is read of a log during the block, to be told, arrives behind it."""
    gate, read = asyncio.Event(), world.predictions.events

    async def slow(row: Any, after: int, limit: int, *most: Any) -> Any:
        found = await read(row, after, limit, *most)
        if limit == EVENTS_AT_ONCE:
            await gate.wait()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(world.predictions, "events", slow)
        yield
    gate.set()


@pytest.mark.parametrize("is_hinted", [True, False])
async def test_a_row_read_before_the_end_is_not_sent_as_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch, is_hinted: bool
) -> None:
    """The last output must not be missing where the end is told, whatever was read when, and for whom."""
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    await world.output(made["id"], "a", add=True)
    (first,) = await world.store.read_events(made["id"], 2)
    resumed = partial(
        world.get,
        path(made["urls"]["stream"]),
        headers={"Last-Event-ID": f"{int(first.at.timestamp())}:{first.seq}"},
        token=None,
    )

    async def end() -> None:
        await world.output(made["id"], "b", add=True)
        await world.finish(made["id"])

    if is_hinted:  # nothing was behind `a` when it was read, but that arrives after the hint at the end
        early = asyncio.ensure_future(resumed())
        with slow_reads(world, monkeypatch):
            await settled()
            await end()
        await settled()
    else:  # nothing was behind `a`, and the hint at the end is late
        early = asyncio.ensure_future(resumed())
        await settled()
        with monkeypatch.context() as patch:
            patch.setattr(world.bus, "publish", lambda _: None)
            await end()
    late = asyncio.ensure_future(resumed())
    await settled()
    world.bus.publish(Changed(made["id"]))
    for reading in (early, late):
        body = (await asyncio.wait_for(reading, 60)).body
        assert (body.count(b"event: output"), body.count(b"event: done")) == (1, 1)


async def test_plain_text_takes_fewer_steps_to_the_same_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    picture = await world.keep(made["id"], 0, "a.png", b"picture", "image/png")
    for value in ("a", "", " ", "x\r\ny\n", 'é\u2028"', {"a": "b"}, 5, None, [], ["a"], "x" * 100_000):
        await world.output(made["id"], value, add=True)
    await world.output(made["id"], picture.ref, files=(picture,), add=True)
    await world.finish(made["id"])
    quick = await world.get(path(made["urls"]["stream"]), token=None)
    world.api.parts.batches.forget(made["id"])
    monkeypatch.setattr(sse, "_plain_text", lambda _: "")
    ordinary = await world.get(path(made["urls"]["stream"]), token=None)
    assert quick.body == ordinary.body
    assert quick.body.count(b"event: output\n") == 10


async def test_silence_is_filled_with_comments(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.01)
    made = await world.create("acme/tokens")
    seen: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        seen.append(chunk)
        if len(seen) == 3:
            world.api.release_waiting()

    await asyncio.wait_for(world.get(path(made["urls"]["stream"]), token=None, on_chunk=keep), 60)
    assert seen[0] == b": hi\n\n"
    assert [chunk[:1] for chunk in seen[1:3]] == [b":", b":"]
    assert all(chunk.endswith(b"\n\n") for chunk in seen)


async def test_comments_keep_a_stream_alive_during_changes_it_does_not_show(world: World) -> None:
    # one client gives up after 30 s without a byte
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    seen: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        seen.append(chunk)

    reading = asyncio.ensure_future(world.get(path(made["urls"]["stream"]), token=None, on_chunk=keep))
    await settled()
    for _ in range(6):
        world.clock.advance(8)
        await world.log(made["id"], "a line\n")
        await settled()
    assert seen == [b": hi\n\n"] + 3 * [streams.KEEP_ALIVE]
    world.api.release_waiting()
    await reading


async def test_streams_answer_head_and_options(world: World) -> None:
    made = await world.create("acme/tokens")
    stream = path(made["urls"]["stream"])
    head = await world.request("HEAD", stream, token=None)
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", "text/event-stream")
    options = await world.request("OPTIONS", stream, token=None)
    assert (options.status, options.headers["access-control-allow-origin"]) == (204, "*")
    assert "last-event-id" in options.headers["access-control-allow-headers"]


async def test_a_damaged_capability_is_404(world: World) -> None:
    made = await world.create("acme/tokens")
    stream = path(made["urls"]["stream"])
    flipped = stream[:-1] + ("A" if stream[-1] != "A" else "B")
    for wrong in (flipped, stream + "x", stream.replace(made["id"], "0" * 26)):
        assert (await world.get(wrong)).status == 404
    page_mac = made["urls"]["web"].rpartition("=")[2]
    assert (await world.get(f"/v1/streams/{made['id']}-{page_mac}")).status == 404


async def test_a_lost_attempt_is_noted_in_the_logs(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    await world.say(made["id"], EventKind.ATTEMPT_LOST, b'"--- attempt 1 was lost ---\\n"')
    await world.finish(made["id"])
    body = (await world.get(path(made["urls"]["stream"]) + "?logs=1", token=None)).body
    assert b"event: logs" in body
    assert b"attempt 1 was lost" in body


async def test_all_who_follow_share_one_reading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    readings: list[int] = []
    read = world.store.read_events

    async def counted(prediction_id: str, after_seq: int = 0, *limits: int, with_data: bool = True):
        readings.append(after_seq)
        return await read(prediction_id, after_seq, *limits, with_data=with_data)

    monkeypatch.setattr(world.store, "read_events", counted)
    followers = [asyncio.ensure_future(world.get(path(made["urls"]["stream"]), token=None)) for _ in range(50)]
    await settled()
    assert len(readings) <= 2
    readings.clear()
    for text in ("a", "b"):
        await world.output(made["id"], text, add=True)
    await settled()
    assert len(readings) <= 2
    await world.finish(made["id"])
    bodies = {(await follower).body for follower in followers}
    assert len(bodies) == 1
    assert [block.rpartition(b" ")[2] for block in blocks_of(bodies.pop())[:2]] == [b"a", b"b"]


async def test_callers_under_another_name_get_links_of_their_own(world: World) -> None:
    made = await world.create("acme/frames")
    await world.start(made["id"])
    file = await world.keep(made["id"], 0, "0.png", b"0", "image/png")
    await world.output(made["id"], file.ref, files=(file,), add=True)
    stream = path(made["urls"]["stream"])
    here = await self_closing(world, stream)
    monkey = {"host": "127.0.0.1:1986"}
    await world.finish(made["id"])
    there = (await world.get(stream, headers=monkey, token=None)).body
    assert b"data: http://localhost:1986/d/" in here
    assert b"data: http://127.0.0.1:1986/d/" in there


async def test_a_lost_hint_costs_one_keep_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.01)
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    world.bus._receivers.clear()  # nobody hears anything
    seen: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        seen.append(chunk)
        if len(seen) == 2:
            await world.output(made["id"], "late", add=True)
            await world.finish(made["id"])

    await world.get(path(made["urls"]["stream"]), token=None, on_chunk=keep)
    assert b"data: late\n" in seen[2]
    assert b"event: done" in seen[2]


async def test_data_that_is_removed_under_a_reader_ends_the_stream_without_done(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    for _ in range(40):  # several portions
        await world.output(made["id"], "x" * 10_000, add=True)
    await world.finish(made["id"])
    entry = world.store._entries[made["id"]]

    async def remove(chunk: bytes) -> None:
        if entry.prediction.data_removed_at is None:
            entry.prediction = msgspec.structs.replace(entry.prediction, data_removed_at=world.clock.now())
            entry.events = []

    body = (await world.get(path(made["urls"]["stream"]), token=None, on_chunk=remove)).body
    assert body.count(b"event: output") < 40
    assert b"event: done" not in body
    assert (await world.get(path(made["urls"]["stream"]), token=None)).status == 404


async def test_large_things_leave_in_small_writes(world: World) -> None:
    made = await world.create("acme/free")
    await world.start(made["id"])
    await world.output(made["id"], "x" * 3_000_000)
    for n in range(200):
        await world.log(made["id"], f"{n} " * 1000)
    await world.finish(made["id"])
    reply = await world.get(path(made["urls"]["stream"]) + "?logs=1", token=None)
    assert max(map(len, reply.chunks)) <= 128 * 1024 + 1000
    assert [block.split(b"\n")[0] for block in blocks_of(reply.body)] == [
        b"event: output",
        *[b"event: logs"] * 200,
        b"event: done",
    ]


async def test_only_four_names_are_ever_sent(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    data = {
        EventKind.LOGGED: b'"text"',
        EventKind.OUTPUT_ADDED: b'{"value":"a","files":[]}',
        EventKind.OUTPUT_SET: b'{"value":"a","files":[]}',
        EventKind.METRIC_RECORDED: b'{"name":"a","value":1,"mode":"replace"}',
        EventKind.PROGRESSED: b'{"fraction":0.5,"current":1,"total":2}',
        EventKind.ATTEMPT_LOST: b'"mark"',
    }
    for kind in EventKind:
        if kind is not EventKind.FINISHED:
            await world.say(made["id"], kind, data.get(kind, b"null"))
    await world.finish(made["id"], Fact.FAILED, error="no")
    body = (await world.get(path(made["urls"]["stream"]) + "?logs=1", token=None)).body.decode()
    names = [line.removeprefix("event: ") for line in body.split("\n") if line.startswith("event: ")]
    assert sorted(names) == ["done", "error", "logs", "logs", "output", "output"]


async def test_text_never_lives_where_clients_look_for_files(world: World) -> None:
    for model in ("acme/echo", "acme/free", "acme/tokens"):
        for prefix in ("/v1", "/replicate/v1"):
            body = {"version": model, "input": {"prompt": "x"}}
            made = (await world.post(f"{prefix}/predictions", body)).json()
            assert path(made["urls"]["stream"]).startswith(f"{prefix}/streams/")


async def test_an_aborted_prediction_is_sent_as_canceled(world: World) -> None:
    made = await world.create("acme/tokens", headers={"Cancel-After": "5s"})
    world.clock.advance(6)
    await world.store.expire(await on_duty(world.store), world.clock.now(), 1e6)
    body = (await world.get(path(made["urls"]["stream"]), token=None)).body
    assert body.endswith(b'event: done\nid: %d:2\ndata: {"reason":"canceled"}\n\n' % world.clock.now().timestamp())


async def test_a_stream_is_never_compressed(world: World) -> None:
    made = await world.create("acme/free")
    await world.run(made["id"], "x" * 10_000)
    reply = await world.get(path(made["urls"]["stream"]), headers={"Accept-Encoding": "gzip, br, zstd"}, token=None)
    assert "content-encoding" not in reply.headers
    assert b"x" * 10_000 in reply.body


async def test_a_long_log_lets_others_run_meanwhile(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    portions = 40
    for _ in range(portions):
        await world.log(made["id"], "x" * 65_536)  # none of it is told
    await world.finish(made["id"])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.ensure_future(others())
    await world.get(path(made["urls"]["stream"]), token=None)
    ticking.cancel()
    assert turns >= portions

"""The secret, the delivery log, sending again: as their owner sees them."""

import asyncio
import hashlib

import pytest

from api.test_files import PY1, painted
from api.world import HOOK, HOOK_BODY, World, settled
from halley.keys.records import Scope
from halley.webhooks.events import WebhookEvent
from halley.webhooks.records import Delivery, DeliveryOutcome, Ending, Fate, MessageState

pytestmark = pytest.mark.anyio
BODY = HOOK_BODY


async def failed(world: World, attempt: Delivery) -> None:
    ending = Ending(outcome=DeliveryOutcome.FAILED, latency_seconds=0.25, status=500, answer=b"oops\xff", error=None)
    message = await world.store.deliveries.message(attempt.message_id)
    found_at, now = None if message is None else message.next_at, world.clock.now()
    fate = Fate(
        message_id=attempt.message_id,
        found_at=found_at,
        state=MessageState.PENDING,
        failures=1,
        waits_since=now,
        next_at=now,
        told_at=now,
    )
    await world.store.deliveries.end(attempt, ending, fate)


async def test_the_secret_is_as_clients_expect_it(world: World) -> None:
    reply = await world.get("/v1/webhooks/default/secret")
    assert reply.status == 200
    assert reply.json() == {"key": await world.desk.secret((await world.keys.verify(world.token)).account.id)}
    assert reply.headers["cache-control"] == "no-store"
    other = await world.get("/v1/webhooks/default/secret", token=world.other_token)
    assert other.json() != reply.json()


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/replicate/v1"])
async def test_the_secret_is_there_under_every_spelling(world: World, prefix: str) -> None:
    assert (await world.get(f"{prefix}/webhooks/default/secret")).status == 200


async def test_a_key_that_may_only_read_does_not_get_the_secret(world: World) -> None:
    token, _ = await world.keys.issue("alice", "dashboard", [Scope.READ])
    assert (await world.get("/v1/webhooks/default/secret", token=token)).status == 403
    assert (await world.get("/v1/webhooks/deliveries", token=token)).status == 200


async def test_a_rotation_gives_the_new_secret_and_the_end_of_the_old_one(world: World) -> None:
    old = (await world.get("/v1/webhooks/default/secret")).json()["key"]
    reply = await world.post("/v1/webhooks/default/secret/rotate", {"overlap_seconds": 60})
    assert reply.status == 200
    assert reply.json()["previous_ends_at"] == "2026-01-10T10:21:35.123456Z"
    new = (await world.get("/v1/webhooks/default/secret")).json()["key"]
    assert new == reply.json()["key"] != old
    assert (await world.post("/v1/webhooks/default/secret/rotate")).status == 200  # the setting says how long


@pytest.mark.parametrize("overlap", [-1, "1h", 1e9, [], True])
async def test_an_unfit_overlap_is_422(world: World, overlap: object) -> None:
    reply = await world.post("/v1/webhooks/default/secret/rotate", {"overlap_seconds": overlap})
    assert reply.status == 422
    assert reply.json()["invalid_fields"][0]["field"] == "overlap_seconds"


async def test_a_delivery_is_shown_whole(world: World) -> None:
    made = await world.create()
    attempt = await world.delivery(made["id"])
    (under_way,) = (await world.get("/v1/webhooks/deliveries")).json()["results"]
    assert (under_way["state"], under_way["response"], under_way["latency_seconds"]) == ("sending", None, None)
    await failed(world, attempt)
    (shown,) = (await world.get("/v1/webhooks/deliveries")).json()["results"]
    assert shown == {
        "id": attempt.id,
        "message": f"msg_{made['id']}",
        "prediction": made["id"],
        "event": "completed",
        "attempt": 1,
        "url": HOOK,
        "state": "failed",
        "started_at": "2026-01-10T10:20:35.123456Z",
        "latency_seconds": 0.25,
        "request": {
            "headers": {"webhook-id": f"msg_{made['id']}"},
            "body_sha256": hashlib.sha256(BODY).hexdigest(),
            "body_bytes": len(BODY),
        },
        "response": {"status": 500, "body": "oops\ufffd"},
        "error": None,
        "next_attempt_at": "2026-01-10T10:20:36.123456Z",
    }
    one = (await world.get(f"/v1/webhooks/deliveries/{attempt.id}")).json()
    assert one["request"].pop("body") == BODY.decode()
    assert one == shown


async def test_the_log_is_paged_and_filtered(world: World) -> None:
    made = [(await world.create())["id"] for _ in range(2)]
    attempts = [await world.delivery(made[number % 2]) for number in range(5)]
    first = (await world.get("/v1/webhooks/deliveries?limit=2")).json()
    assert [one["id"] for one in first["results"]] == [attempts[4].id, attempts[3].id]
    second = (await world.get(first["next"].removeprefix("http://localhost:1986"))).json()
    assert [one["id"] for one in second["results"]] == [attempts[2].id, attempts[1].id]
    of_one = (await world.get(f"/v1/webhooks/deliveries?limit=2&prediction={made[0]}")).json()
    assert [one["id"] for one in of_one["results"]] == [attempts[4].id, attempts[2].id]
    rest = (await world.get(of_one["next"].removeprefix("http://localhost:1986"))).json()
    assert [one["id"] for one in rest["results"]] == [attempts[0].id]
    assert rest["next"] is None
    assert (await world.get("/v1/webhooks/deliveries?cursor=x")).status == 400


async def test_deliveries_of_others_are_absent(world: World) -> None:
    attempt = await world.delivery((await world.create())["id"])
    bob = {"token": world.other_token}
    assert (await world.get("/v1/webhooks/deliveries", **bob)).json()["results"] == []
    assert (await world.get(f"/v1/webhooks/deliveries?prediction={attempt.prediction_id}", **bob)).json()[
        "results"
    ] == []
    foreign = await world.get(f"/v1/webhooks/deliveries/{attempt.id}", **bob)
    absent = await world.get("/v1/webhooks/deliveries/" + "0" * 26, **bob)
    assert foreign.status == absent.status == 404
    assert (await world.post(f"/v1/webhooks/deliveries/{attempt.id}/resend", **bob)).status == 404


async def test_a_message_is_sent_again(world: World) -> None:
    attempt = await world.delivery((await world.create())["id"])
    await failed(world, attempt)
    reply = await world.post(f"/v1/webhooks/deliveries/{attempt.id}/resend")
    assert reply.status == 202
    assert reply.json() == {
        "id": attempt.message_id,
        "prediction": attempt.prediction_id,
        "event": "completed",
        "url": HOOK,
        "state": "pending",
        "next_attempt_at": "2026-01-10T10:20:36.123456Z",
    }
    assert [one.id for one in await world.store.deliveries.due("receiver.example:443", world.clock.now(), 9)] == [
        attempt.message_id
    ]


async def test_a_passing_state_cannot_be_sent_again(world: World) -> None:
    attempt = await world.delivery((await world.create())["id"], event=WebhookEvent.OUTPUT)
    reply = await world.post(f"/v1/webhooks/deliveries/{attempt.id}/resend")
    assert reply.status == 409
    assert "intermediate state" in reply.json()["detail"]
    assert (await world.post("/v1/webhooks/deliveries/nonsense/resend")).status == 404


async def test_a_picture_is_what_a_get_answers(world: World) -> None:
    made = await world.create("acme/frames", headers={"prefer": "wait=0"})
    file = await world.keep(made["id"], 0, "0.png", b"0" * 100, "image/png")
    await world.start(made["id"])
    await world.log(made["id"], "one\n")
    await world.output(made["id"], file.ref, files=(file,), add=True)
    variants = world.api.variants
    for path, base in (("/v1", "http://localhost:1986"), ("/replicate/v1", "http://localhost:1986/replicate")):
        assert variants.of_base(base).link_base == base
        for _ in range(2):
            row = await world.predictions.filled(await world.row(made["id"]))
            shown = await world.get(f"{path}/predictions/{made['id']}")
            assert await world.api.pictures.encoded(row, base) == shown.body
            if not row.is_terminal:
                await world.finish(made["id"])


async def test_a_picture_never_holds_the_bytes_of_a_file(world: World) -> None:
    made = await painted(world, wait=True)
    assert b"data:image/png" in (await world.get(f"/v1/predictions/{made}", headers=PY1)).body
    picture = await world.api.pictures.encoded(await world.row(made), "http://localhost:1986")
    assert b"data:image/png" not in picture
    assert b"http://localhost:1986/d/" in picture


@pytest.mark.parametrize(
    ("server", "base", "links"),
    [
        ({}, None, "http://127.0.0.1:1986/v1"),
        ({"host": "0.0.0.0", "port": 80}, None, "http://0.0.0.0:80/v1"),
        ({"public_url": "https://h.example"}, None, "https://h.example/v1"),
        ({"public_url": "https://h.example"}, "http://old.example/replicate", "https://h.example/replicate/v1"),
        ({}, "http://old.example/replicate", "http://old.example/replicate/v1"),
    ],
)
async def test_links_of_pictures(server: dict, base: str | None, links: str) -> None:
    from halley.settings import ServerSettings

    world = await World(server=ServerSettings(**server)).fill()
    made = await world.create()
    picture = await world.api.pictures.encoded(await world.row(made["id"]), base)
    assert f'"get":"{links}/predictions/{made["id"]}"'.encode() in picture


async def test_a_listener_gets_predictions_without_webhook(world: World) -> None:
    first = (await world.get("/v1/webhooks/listen")).json()
    assert first == {"position": 0, "results": []}
    made = await world.create("acme/free")
    await world.run(made["id"], "hello")
    heard = (await world.get("/v1/webhooks/listen?after=0&events=completed")).json()
    (copy,) = heard["results"]
    assert (copy["id"], copy["event"], copy["position"]) == (f"msg_{made['id']}", "completed", heard["position"])
    assert copy["body"].encode() == (await world.get(f"/v1/predictions/{made['id']}")).body
    assert copy["headers"]["webhook-id"] == copy["id"]
    assert (await world.get(f"/v1/webhooks/listen?after={heard['position']}")).json()["results"] == []
    others = await world.get("/v1/webhooks/listen?after=0", token=world.other_token)
    assert others.json()["results"] == []


@pytest.mark.parametrize("query", ["events=end", "after=x", "since=yesterday"])
async def test_invalid_options_of_listening_are_422(world: World, query: str) -> None:
    assert (await world.get(f"/v1/webhooks/listen?{query}")).status == 422


async def test_listening_is_a_stream_that_can_be_resumed(world: World) -> None:
    heard: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        heard.append(chunk)
        if b"event: message" in chunk:
            world.api.release_waiting()

    made = await world.create("acme/free")
    await world.run(made["id"], "hello")
    for last, found in (("0", True), ("", False)):
        world.hub.is_closed = False
        heard.clear()
        stream = asyncio.ensure_future(
            world.get(
                "/v1/webhooks/listen?events=completed",
                headers={"accept": "text/event-stream", "last-event-id": last},
                on_chunk=keep,
            )
        )
        await settled()
        assert any(f"msg_{made['id']}".encode() in chunk for chunk in heard) is found
        world.api.release_waiting()
        reply = await stream
        assert reply.headers["content-type"] == "text/event-stream"

"""Running a prediction again, with and without changes, and what predictions are linked to."""

from typing import Any

import msgspec
import pytest

from api.world import SESSION, World, schema
from halley.errors import QueueFull
from halley.keys.records import Scope
from halley.models.records import Model, Version
from halley.predictions.records import Prediction

pytestmark = pytest.mark.anyio

INPUT = {"prompt": "hi", "seed": 7}
HOOK = "https://receiver.example/hook"
WITH_SECRET = schema({"prompt": {"type": "string"}, "token": {"type": "string", "x-cog-secret": True}})


async def first(world: World, **members: Any) -> Any:
    reply = await world.post("/v1/predictions", {"version": "acme/echo", "input": INPUT, **members})
    assert reply.status == 201
    return reply.json()


async def again(world: World, prediction_id: str, body: Any = b"", **more: Any) -> Any:
    return await world.post(f"/v1/predictions/{prediction_id}/rerun", body, **more)


async def related(world: World, prediction_id: str) -> list[tuple[str, str]]:
    reply = await world.get(f"/v1/predictions/{prediction_id}/related")
    assert reply.status == 200
    return [(one["relation"], one["id"]) for one in reply.json()["results"]]


async def test_a_prediction_is_run_again_as_it_was(world: World) -> None:
    made = await first(world, webhook=HOOK, webhook_events_filter=["completed"])
    await world.run(made["id"])
    reply = await again(world, made["id"])
    new = reply.json()
    assert (reply.status, reply.headers["location"]) == (201, new["urls"]["get"])
    assert new["id"] != made["id"]
    for name in ("model", "version", "input", "webhook", "webhook_events_filter", "source"):
        assert new[name] == made[name]
    assert (new["status"], new["output"]) == ("starting", None)
    await world.run(new["id"], "once more")
    assert (await world.get(f"/v1/predictions/{new['id']}")).json()["output"] == "once more"
    assert (await world.get(f"/v1/predictions/{made['id']}")).json()["output"] == "hello"
    assert await related(world, made["id"]) == [("rerun", new["id"])]
    assert await related(world, new["id"]) == [("rerun_of", made["id"])]
    (shown,) = (await world.get(f"/v1/predictions/{new['id']}/related")).json()["results"]
    assert (shown["status"], shown["model"], shown["how"]) == ("succeeded", "acme/echo", None)
    assert shown["url"] == made["urls"]["get"]


async def test_tags_stay(world: World) -> None:
    made = await first(world, tags=["trial", "é"])
    new = (await again(world, made["id"])).json()
    assert (await world.get(f"/v1/predictions/{new['id']}/tags")).json()["tags"] == ["trial", "é"]


async def test_it_can_be_run_again_with_the_same_time_limit(world: World) -> None:
    made = (
        await world.post("/v1/predictions", {"version": "acme/echo", "input": INPUT}, headers={"cancel-after": "90"})
    ).json()
    world.clock.advance(1000)
    new = await world.row((await again(world, made["id"])).json()["id"])
    assert new.deadline_at is not None
    assert (new.deadline_at - new.created_at).total_seconds() == 90


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"prompt": "bye"}, {"prompt": "bye", "seed": 7}),
        ({"seed": None}, {"prompt": "hi"}),
        ({"prompt": "é ", "seed": 8}, {"prompt": "é ", "seed": 8}),
        ({}, INPUT),
        (None, INPUT),
    ],
)
async def test_inputs_can_be_changed(world: World, changes: Any, wanted: Any) -> None:
    made = await first(world)
    reply = await again(world, made["id"], {"input": changes})
    assert (reply.status, reply.json()["input"]) == (201, wanted)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"input": {"seed": "x"}}, 422, "input.seed"),
        ({"input": {"prompt": None}}, 422, "input"),
        ({"input": []}, 422, "input"),
        ({"input": "x"}, 422, "input"),
        (b'{"input":{"seed":1,"seed":2}}', 400, None),
        (b"[]", 400, None),
    ],
)
async def test_changes_that_do_not_fit_are_refused(world: World, body: Any, status: int, field: str | None) -> None:
    made = await first(world)
    reply = await again(world, made["id"], body)
    assert reply.status == status
    assert [fault["field"] for fault in reply.json().get("invalid_fields", [])] == ([field] if field else [])
    assert await related(world, made["id"]) == []


async def test_secrets_must_be_given_again(world: World) -> None:
    now = world.clock.now()
    version = Version(id="5" * 64, model="acme/door", created_at=now, openapi_schema=WITH_SECRET)
    await world.catalog.register(Model(owner="acme", name="door", created_at=now), version)
    body = {"version": "acme/door", "input": {"prompt": "open", "token": "hidden"}}
    made = (await world.post("/v1/predictions", body)).json()
    refused = await again(world, made["id"], {"input": {"prompt": "close"}})
    assert refused.status == 422
    (fault,) = refused.json()["invalid_fields"]
    assert (fault["field"], "give it again" in fault["description"]) == ("input.token", True)
    new = (await again(world, made["id"], {"input": {"token": "other"}})).json()
    assert new["input"] == {"prompt": "open", "token": "[REDACTED]"}
    (claimed,) = [one for one in await world.store.claim(SESSION, {"5" * 64: 9}, now) if one.prediction.id == new["id"]]
    assert msgspec.json.decode(claimed.work_input) == {"prompt": "open", "token": "other"}
    assert (await again(world, made["id"], {"input": {"token": None}})).status == 201


async def test_removed_data_and_gone_versions_are_refused_with_the_reason(world: World) -> None:
    made = await first(world)
    await world.run(made["id"])
    world.catalog.withdraw("acme/echo")
    refused = await again(world, made["id"])
    assert refused.status == 422
    assert "This server does not run the model acme/echo now." in refused.json()["detail"]
    now = world.clock.now()
    newer = Version(id="6" * 64, model="acme/echo", created_at=now, openapi_schema=schema({}))
    await world.catalog.register(Model(owner="acme", name="echo", created_at=now), newer)
    refused = await again(world, made["id"])
    assert refused.status == 422
    assert "has another version now" in refused.json()["detail"]
    await world.request("DELETE", f"/v1/predictions/{made['id']}/data")
    refused = await again(world, made["id"])
    assert (refused.status, "its input was removed" in refused.json()["detail"]) == (409, True)


async def test_a_key_that_may_not_read_cannot_learn_an_input_by_running_it(world: World) -> None:
    made = await first(world)
    token, _ = await world.keys.issue("alice", "w", frozenset({Scope.WRITE}))
    assert (await again(world, made["id"], token=token)).status == 403


async def test_an_idempotency_key_makes_one_rerun(world: World) -> None:
    made = await first(world)
    headers = {"idempotency-key": "once"}
    replies = [await again(world, made["id"], {"input": {"seed": 8}}, headers=headers) for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 201]
    assert len({reply.json()["id"] for reply in replies}) == 1
    assert [reply.headers.get("idempotency-replayed") for reply in replies] == [None, "true"]
    assert (await again(world, made["id"], {"input": {"seed": 9}}, headers=headers)).status == 422
    assert len(await related(world, made["id"])) == 1


async def test_a_full_queue_refuses_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await first(world)

    async def full(*_: object) -> Prediction:
        raise QueueFull("too many")

    monkeypatch.setattr(world.store, "rerun", full)
    assert (await again(world, made["id"])).status == 429


async def test_links_of_another_account_are_not_shown(world: World) -> None:
    made = await first(world)
    new = (await again(world, made["id"])).json()
    for one in (made, new):
        reply = await world.get(f"/v1/predictions/{one['id']}/related", token=world.other_token)
        assert reply.status == 404
        assert (await again(world, one["id"], token=world.other_token)).status == 404

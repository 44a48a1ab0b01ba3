"""What a key may do holds for every answer: one that may not read learns nothing from what it may write."""

import pytest

from api.world import World
from halley.api.routes import ROUTES
from halley.keys.records import Scope

pytestmark = pytest.mark.anyio

GIVEN = {"version": "acme/free", "input": {"prompt": "the question"}}
RESULT = "the result"
HOOK = "https://receiver.example/hook?token=hidden"


async def writer(world: World, name: str = "w") -> str:
    token, _ = await world.keys.issue("ada", name, frozenset({Scope.WRITE}))
    return token


async def over(world: World, made: dict[str, str]) -> None:
    """Run it to its end."""
    await world.start(made["id"])
    await world.log(made["id"], "the logs")
    await world.output(made["id"], RESULT)
    await world.finish(made["id"])


async def test_a_cancel_shows_a_writer_nothing_of_what_others_gave_and_got(world: World) -> None:
    reader, _ = await world.keys.issue("ada", "both")
    made = (await world.post("/v1/predictions", GIVEN, token=reader)).json()
    await over(world, made)
    whole = await world.post(f"/v1/predictions/{made['id']}/cancel", token=reader)
    assert whole.json()["output"] == RESULT
    less = await world.post(f"/v1/predictions/{made['id']}/cancel", token=await writer(world))
    shown = less.json()
    assert (less.status, shown["id"], shown["status"]) == (200, made["id"], "succeeded")
    assert (shown["input"], shown["output"], shown["logs"], shown["metrics"]) == ({}, None, "", {})
    for text in (RESULT, "the logs", "the question", *(made["urls"][name] for name in ("web", "stream"))):
        assert text.encode() not in less.body
    assert shown["urls"]["get"] == made["urls"]["get"]


async def test_the_links_that_a_writer_is_given_open_nothing(world: World) -> None:
    made = (await world.post("/v1/predictions", GIVEN, token=await writer(world))).json()
    assert made["input"] == {"prompt": "the question"}
    await over(world, made)
    for name, refused in (("web", 403), ("stream", 404)):
        path = made["urls"][name].removeprefix("http://localhost:1986")
        answer = await world.get(path, token=None, headers={"accept": "text/event-stream"})
        assert answer.status == refused, name
        assert RESULT.encode() not in answer.body


@pytest.mark.parametrize("same_key", [True, False])
async def test_a_create_that_comes_again_shows_a_writer_no_result(world: World, same_key: bool) -> None:
    token, headers = await writer(world), {"idempotency-key": "once", "prefer": "wait=1"}
    first = (await world.post("/v1/predictions", GIVEN, token=token, headers={"idempotency-key": "once"})).json()
    await over(world, first)
    again = token if same_key else await writer(world, "other")
    answer = await world.post("/v1/predictions", GIVEN, token=again, headers=headers)
    shown = answer.json()
    assert (answer.status, shown["id"], shown["status"]) == (201, first["id"], "succeeded")
    assert (shown["output"], shown["logs"]) == (None, "")
    assert RESULT.encode() not in answer.body
    assert b"the logs" not in answer.body


async def test_a_writer_does_not_learn_the_secret_of_webhooks(world: World) -> None:
    token = await writer(world)
    assert (await world.get("/v1/webhooks/default/secret", token=token)).status == 403
    assert (await world.post("/v1/webhooks/default/secret/rotate", {}, token=token)).status == 403
    both, _ = await world.keys.issue("ada", "both")
    assert (await world.get("/v1/webhooks/default/secret", token=both)).status == 200


def test_what_a_writer_may_ask_is_known() -> None:
    """A new route for keys that may only write is looked at here: what does its answer show?"""
    writing = {route.name for route in ROUTES if route.scope is Scope.WRITE}
    assert writing == {
        *("predictions.create", "models.predictions.create", "predictions.cancel"),  # see `api.presentation.withheld`
        *("webhooks.default.secret.get", "webhooks.default.secret.rotate", "webhooks.deliveries.resend"),  # need both
        *("predictions.data.delete", "files.delete"),  # 204
        "files.create",  # shows what came with the request
        *("predictions.rerun", "bulk_actions.create", "bulk_actions.preview", "bulk_actions.stop"),  # need both
    }


async def test_keys_can_begin_as_libraries_want_them(world: World) -> None:
    admin, _ = await world.keys.issue("root", "admin", frozenset({Scope.ADMIN}))
    for prefix in ("r8", "r8_"):
        made = await world.post("/v1/keys", {"username": "ada", "prefix": prefix}, token=admin)
        token = made.json()["token"]
        assert (made.status, token[:3], len(token)) == (201, "r8_", 40)
        assert made.json()["hint"].startswith("r8_")
        assert (await world.get("/v1/account", token=token)).json()["username"] == "ada"
        assert (await world.get("/v1/account", token=token[:-1] + "~")).status == 401
    plain = await world.post("/v1/keys", {"username": "ada"}, token=admin)
    assert plain.json()["token"].startswith("hly_")
    for wrong in ("R8", "8r", "r-8", "r8__", "a" * 17, "é", 8):
        refused = await world.post("/v1/keys", {"username": "ada", "prefix": wrong}, token=admin)
        assert (refused.status, "prefix" in refused.json()["detail"]) == (422, True), wrong

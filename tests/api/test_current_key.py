"""`GET /v1/keys/current`: what the caller's key may do, and what it has been used for."""

import pytest

from api.world import World
from halley.keys.records import KeyOptions, Scope
from halley.predictions import key_usage

pytestmark = pytest.mark.anyio


async def test_a_plain_key_learns_what_it_may_do(world: World) -> None:
    token, key = await world.keys.issue("ada", "laptop", options=KeyOptions(hold=False, retention="1h"))
    shown = (await world.get("/v1/keys/current", token=token)).json()
    assert (shown["id"], shown["username"], shown["name"], shown["scopes"]) == (
        key.id,
        "ada",
        "laptop",
        ["read", "write"],
    )
    assert shown["options"] == {"hold": False, "cancel_abandoned": False, "retention": "1h"}
    nothing = {"oldest_created_at": None, "newest_created_at": None, "run_seconds": 0.0, "is_more": False}
    assert shown["usage"] == {"predictions": 0, "by_status": {}, **nothing}


async def test_it_counts_predictions_of_the_key_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token, _ = await world.keys.issue("ada", "one")
    other, _ = await world.keys.issue("ada", "two")
    made = [await world.create("acme/free", token=token) for _ in range(3)]
    await world.create("acme/free", token=other)
    await world.start(made[0]["id"])
    world.clock.advance(2)
    await world.finish(made[0]["id"])
    usage = (await world.get("/v1/keys/current", token=token)).json()["usage"]
    assert (usage["predictions"], usage["by_status"]) == (3, {"starting": 2, "succeeded": 1})
    assert usage["run_seconds"] == pytest.approx(2, abs=0.5)
    assert usage["oldest_created_at"] == made[0]["created_at"]
    assert (usage["newest_created_at"], usage["is_more"]) == (made[2]["created_at"], False)
    monkeypatch.setattr(key_usage, "MOST_RUNS", 2)
    usage = (await world.get("/v1/keys/current", token=token)).json()["usage"]
    assert (usage["predictions"], usage["is_more"]) == (2, True)


async def test_current_is_not_the_id_of_a_key(world: World) -> None:
    admin, _ = await world.keys.issue("root", "admin", frozenset({Scope.ADMIN}))
    assert (await world.request("DELETE", "/v1/keys/current", token=admin)).status == 405
    assert (await world.get("/v1/keys/current", token=admin)).status == 200

"""Requests that wait end with their keys, and only with theirs."""

import asyncio
from collections.abc import Collection

import pytest

from api.world import World, settled
from halley.keys.records import Scope

pytestmark = pytest.mark.anyio


async def test_a_request_that_begins_to_wait_during_the_check_is_not_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction_id = (await world.create("acme/free"))["id"]
    revoked, key = await world.keys.issue("alice", "soon revoked")
    fresh, _ = await world.keys.issue("alice", "begins to wait meanwhile")
    asked, may_answer, valid_scopes = asyncio.Event(), asyncio.Event(), world.keys.valid_scopes

    async def slow(key_ids: Collection[str]) -> dict[str, frozenset[Scope]]:
        asked.set()
        await may_answer.wait()
        return await valid_scopes(key_ids)

    monkeypatch.setattr(world.keys, "valid_scopes", slow)

    def waiting(token: str) -> "asyncio.Future[object]":
        return asyncio.ensure_future(
            world.get(f"/v1/predictions/{prediction_id}", token=token, headers={"prefer": "wait=30"})
        )

    ends = waiting(revoked)
    await settled()
    check = asyncio.ensure_future(world.api.parts.revocations.look())
    await asked.wait()
    await world.keys.revoke(key.id)
    stays = waiting(fresh)
    await settled()
    may_answer.set()
    await check
    await settled()
    assert (ends.done(), stays.done()) == (True, False)
    assert (await ends).status == 401  # type: ignore[attr-defined]
    await world.run(prediction_id)
    assert (await stays).status == 200  # type: ignore[attr-defined]

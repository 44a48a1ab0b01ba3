"""Actions on many predictions: what is chosen, what is done, and who may see it."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from api.world import Connection, World, settled
from halley.api.presentation.paging import Cursor
from halley.bulk import executor
from halley.bulk.item_actions import RERUN_PRIORITY
from halley.errors import Overloaded, QueueFull
from halley.keys.records import Scope
from halley.predictions.filters import PredictionFilter
from halley.predictions.search import FoundIds, SearchPart
from halley.predictions.status import Fact
from halley.settings import LimitSettings
from halley.testing.stores.maker import on_duty

pytestmark = pytest.mark.anyio


async def made(world: World, count: int = 3, model: str = "acme/echo") -> list[str]:
    """The ids of new predictions, the oldest first."""
    return [(await world.create(model))["id"] for _ in range(count)]


async def fail(world: World, ids: Sequence[str], error: str = "it broke") -> None:
    for one in ids:
        await world.start(one)
        await world.finish(one, Fact.FAILED, error=error)


async def act(world: World, action: str, status: int = 201, **members: Any) -> Any:
    members = members or {"filter": {}}
    reply = await world.post("/v1/bulk-actions", {"action": action, **members})
    assert reply.status == status, reply.body
    return reply.json()


async def carry_out(world: World, turns: int = 1) -> None:
    """Turns of the background service; time passes as it sleeps."""
    for _ in range(turns):
        turn = asyncio.ensure_future(world.bulk.turn())
        for _ in range(500):
            await settled(5)
            if turn.done():
                break
            world.clock.advance(0.02)
        await turn


async def shown(world: World, action: Any, **more: Any) -> Any:
    reply = await world.get(f"/v1/bulk-actions/{action['id']}", **more)
    assert reply.status == 200
    return reply.json()


async def finished(world: World, action: Any) -> Any:
    """The action when it has ended."""
    for _ in range(100):
        now = await shown(world, action)
        if now["status"] != "running":
            return now
        await carry_out(world)
    raise AssertionError(now)


def counts(action: Any) -> tuple[int, int, int, int]:
    return action["done"], action["skipped"], action["failed"], action["remaining"]


async def statuses(world: World, ids: Sequence[str]) -> list[str]:
    return [str((await world.row(one)).status) for one in ids]


async def test_a_preview_counts_what_was_created_before_the_clock_was_set_back(world: World) -> None:
    old = await made(world)
    world.clock.jump(-86_400)
    world.clock.advance(60)
    ids = old + await made(world)
    reply = await world.post("/v1/bulk-actions/preview", {"action": "cancel", "filter": {"status": "starting"}})
    preview = reply.json()
    assert preview["total"] == len(ids)
    assert (await act(world, "cancel", filter=preview["filter"]))["total"] == len(ids)


async def test_what_waits_and_runs_is_canceled(world: World) -> None:
    ids = await made(world, 45)  # more than two batches
    await world.start(ids[0])
    over = await made(world, 1, "acme/free")
    await world.run(over[0])
    action = await act(world, "cancel", filter={"model": "acme/echo"})
    assert (action["status"], action["total"], action["remaining"]) == ("running", 45, 45)
    assert action["filter"] == {"model": "acme/echo", "status": "starting,processing"}
    end = await finished(world, action)
    assert (end["status"], counts(end), end["reasons"]) == ("finished", (45, 0, 0, 0), [])
    assert set(await statuses(world, ids)) == {"canceled"}
    assert await statuses(world, over) == ["succeeded"]


async def test_the_set_is_fixed_when_the_action_is_made(world: World) -> None:
    ids = await made(world)
    action = await act(world, "cancel")
    late = await made(world, 2)
    await fail(world, ids[:1])  # it ends before its turn
    end = await finished(world, action)
    assert counts(end) == (2, 1, 0, 0)
    assert end["reasons"] == [{"outcome": "skipped", "reason": "it had failed", "count": 1, "example": ids[0]}]
    assert await statuses(world, late) == ["starting", "starting"]


async def test_what_failed_is_run_again_and_linked(world: World) -> None:
    ids = await made(world)
    await fail(world, ids[:2])
    action = await act(world, "rerun", filter={"status": "failed"})
    end = await finished(world, action)
    assert counts(end) == (2, 0, 0, 0)
    items = (await world.get(f"/v1/bulk-actions/{action['id']}/items")).json()["results"]
    assert [item["prediction"] for item in items] == ids[:2]
    for item in items:
        related = (await world.get(f"/v1/predictions/{item['rerun']}/related")).json()["results"]
        assert [(one["relation"], one["id"]) for one in related] == [("rerun_of", item["prediction"])]
        again = await world.row(item["rerun"])
        assert (again.input, again.priority) == ((await world.row(item["prediction"])).input, RERUN_PRIORITY)
    assert await statuses(world, [item["rerun"] for item in items]) == ["starting", "starting"]


async def test_data_of_what_has_ended_is_removed(world: World) -> None:
    ids = await made(world, 4)
    for one in ids[:3]:
        await world.run(one)
    await world.request("DELETE", f"/v1/predictions/{ids[0]}/data")
    end = await finished(world, await act(world, "delete-data", predictions=ids))
    assert counts(end) == (2, 2, 0, 0)
    reasons = {one["reason"]: one["example"] for one in end["reasons"]}
    assert reasons == {"its data was removed before": ids[0], "it has not ended": ids[3]}
    assert [(await world.row(one)).data_removed_at is not None for one in ids] == [True, True, True, False]


async def test_why_a_prediction_cannot_be_run_again_is_said_once_for_all(world: World) -> None:
    ids = await made(world)
    await fail(world, ids)
    await world.request("DELETE", f"/v1/predictions/{ids[0]}/data")
    world.catalog.withdraw("acme/echo")
    end = await finished(world, await act(world, "rerun", filter={"status": "failed"}))
    assert counts(end) == (0, 1, 2, 0)
    broken, removed = end["reasons"]
    assert (broken["outcome"], broken["count"]) == ("failed", 2)
    assert "cannot run here any more" in broken["reason"]
    assert (removed["outcome"], removed["reason"]) == ("skipped", "its input was removed")


async def test_what_may_have_run_elsewhere_is_not_run_again(world: World) -> None:
    ids = await made(world, 1)
    await world.lose(ids[0])
    end = await finished(world, await act(world, "rerun", filter={"status": "failed"}))
    assert counts(end) == (0, 1, 0, 0)
    assert "settle its unknown outcome" in end["reasons"][0]["reason"]


async def test_it_can_be_stopped(world: World) -> None:
    ids = await made(world, 50)
    action = await act(world, "cancel")
    await carry_out(world)
    stopped = (await world.post(f"/v1/bulk-actions/{action['id']}/stop")).json()
    assert (stopped["status"], stopped["status_reason"], stopped["done"]) == ("stopped", "on request", executor.BATCH)
    assert stopped["ended_at"] is not None
    assert (await shown(world, action))["remaining"] == 50 - executor.BATCH
    assert (await statuses(world, ids)).count("canceled") == executor.BATCH
    again = await world.post(f"/v1/bulk-actions/{action['id']}/stop")
    assert (again.status, again.json()) == (200, stopped)
    action = await act(world, "cancel")
    assert (await finished(world, action))["done"] == 50 - executor.BATCH


async def test_several_actions_take_turns(world: World) -> None:
    await made(world, 50)
    await made(world, 5, "acme/free")
    long = await act(world, "cancel", filter={"model": "acme/echo"})
    short = await act(world, "cancel", filter={"model": "acme/free"})
    await carry_out(world, 2)
    assert (await shown(world, short))["status"] == "finished"
    assert (await shown(world, long))["status"] == "running"


async def test_a_full_queue_makes_it_wait_and_say_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await made(world)
    await fail(world, ids)
    action = await act(world, "rerun", filter={"status": "failed"})
    store = world.store.rerun_bulk_item

    async def full(*_: object) -> None:
        raise QueueFull("the account has too many waiting predictions")

    monkeypatch.setattr(world.store, "rerun_bulk_item", full)
    await carry_out(world, 3)
    now = await shown(world, action)
    assert (now["status"], now["status_reason"], counts(now)) == (
        "running", "the account has too many waiting predictions", (0, 0, 0, 3)
    )  # fmt: skip
    monkeypatch.setattr(world.store, "rerun_bulk_item", store)
    end = await finished(world, action)
    assert (counts(end), end["status_reason"]) == ((3, 0, 0, 0), None)


async def test_only_some_reruns_are_in_the_queue_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "WAITING_RERUNS", 4)
    ids = await made(world, 10)
    await fail(world, ids)
    action = await act(world, "rerun", filter={"status": "failed"})
    await carry_out(world, 6)
    now = await shown(world, action)
    assert now["done"] == 4
    assert "are in the queue" in now["status_reason"]
    items = (await world.get(f"/v1/bulk-actions/{action['id']}/items?outcome=done")).json()["results"]
    for item in items:
        await world.run(item["rerun"])
    await carry_out(world, 6)
    assert (await shown(world, action))["done"] == 8


async def test_an_obstacle_without_an_end_fails_an_item_at_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await made(world, 2)
    for one in ids:
        await world.run(one)
    remove = world.retention.remove_now

    async def stuck(prediction_id: str, account_id: str) -> None:
        if prediction_id == ids[0]:
            raise Overloaded(f"The webhook of prediction {prediction_id} has not been sent its end yet.")
        await remove(prediction_id, account_id)

    monkeypatch.setattr(world.bulk._executor._item_actions, "_remove_data", stuck)
    end = await finished(world, await act(world, "delete-data"))
    assert counts(end) == (1, 0, 1, 0)
    assert "The webhook of prediction … has not been sent" in end["reasons"][0]["reason"]


async def test_a_bug_of_ours_fails_one_item_only(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ids = await made(world)
    cancel = world.store.cancel

    def broken(prediction_id: str, *args: Any, **more: Any) -> Any:
        if prediction_id == ids[1]:
            raise RuntimeError("the password is swordfish")
        return cancel(prediction_id, *args, **more)

    monkeypatch.setattr(world.store, "cancel", broken)
    end = await finished(world, await act(world, "cancel"))
    assert counts(end) == (2, 0, 1, 0)
    assert "swordfish" not in end["reasons"][0]["reason"]
    assert "swordfish" in caplog.text


async def test_it_stops_with_its_key(world: World) -> None:
    await made(world, 30)
    token, key = await world.keys.issue("alice", "short", frozenset({Scope.READ, Scope.WRITE}))
    action = (await world.post("/v1/bulk-actions", {"action": "cancel", "filter": {}}, token=token)).json()
    await carry_out(world)
    await world.keys.revoke(key.id)
    end = await finished(world, action)
    assert (end["status"], end["done"]) == ("stopped", executor.BATCH)
    assert "API key" in end["status_reason"]


async def test_a_repeated_request_makes_one_action(world: World) -> None:
    await made(world)
    headers = {"idempotency-key": "once"}
    body = {"action": "rerun", "filter": {"status": "starting"}}
    replies = []
    for _ in range(2):
        replies.append(await world.post("/v1/bulk-actions", body, headers=headers))
        world.clock.advance(1)
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].json()["id"] == replies[1].json()["id"]
    assert [reply.headers.get("idempotency-replayed") for reply in replies] == [None, "true"]
    other = await world.post("/v1/bulk-actions", body | {"action": "cancel"}, headers=headers)
    assert other.status == 422


async def test_a_key_is_for_one_set_of_named_predictions(world: World) -> None:
    ids = await made(world, 2)
    headers = {"idempotency-key": "named"}
    replies = [
        await world.post("/v1/bulk-actions", {"action": "cancel", "predictions": named}, headers=headers)
        for named in (ids[:1], ids[:1], ids[1:])
    ]
    assert [reply.status for reply in replies] == [201, 201, 422]
    assert replies[0].json()["id"] == replies[1].json()["id"]


async def test_a_strange_cursor_is_a_fault_of_the_request(world: World) -> None:
    action = await act(world, "cancel")
    cursor = Cursor("older", "²").text()
    assert (await world.get(f"/v1/bulk-actions/{action['id']}/items?cursor={cursor}")).status == 400


async def test_a_preview_counts_and_does_nothing(world: World) -> None:
    ids = await made(world, 7)
    await fail(world, ids, "no memory left")
    reply = await world.post("/v1/bulk-actions/preview", {"action": "rerun", "filter": {"error": "MEMORY"}})
    found = reply.json()
    assert (reply.status, found["total"], found["is_more"]) == (200, 7, False)
    assert [one["id"] for one in found["examples"]] == ids[::-1][:5]
    assert found["examples"][0]["error"] == "no memory left"
    assert (await world.get("/v1/bulk-actions")).json()["results"] == []


async def test_more_than_one_action_takes_is_refused_or_limited() -> None:
    world = await World(limits=LimitSettings(bulk_predictions=3)).fill()
    ids = await made(world, 5)
    preview = (await world.post("/v1/bulk-actions/preview", {"action": "cancel", "filter": {}})).json()
    assert (preview["total"], preview["is_more"]) == (3, True)
    refused = await act(world, "cancel", 422)
    assert "limits.bulk_predictions" in refused["detail"]
    action = await act(world, "cancel", filter={}, limit=100)
    assert action["total"] == 3
    await finished(world, action)
    assert await statuses(world, ids) == ["starting", "starting", "canceled", "canceled", "canceled"]
    assert (await act(world, "cancel", filter={}, limit=1))["total"] == 1
    action = await act(world, "cancel", filter={}, limit=2**64 - 1)
    kept = await world.store.bulk_action(action["id"])
    assert kept is not None
    assert kept.most is not None
    assert kept.most < 2**63  # what a database can keep


async def test_nothing_that_fits_is_finished_at_once(world: World) -> None:
    action = await act(world, "cancel", filter={"model": "no/one"})
    assert (action["status"], action["total"]) == ("finished", 0)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"action": "cancel"}, "filter"),
        ({"action": "cancel", "filter": {}, "predictions": ["0" * 26]}, "filter"),
        ({"action": "destroy", "filter": {}}, "action"),
        ({"filter": {}}, "action"),
        ({"action": "cancel", "filter": []}, "filter"),
        ({"action": "cancel", "filter": {"status": 3}}, "filter"),
        ({"action": "cancel", "filter": {"status": "faild"}}, "filter.status"),
        ({"action": "cancel", "filter": {"stauts": "failed"}}, "filter.stauts"),
        ({"action": "cancel", "predictions": []}, "predictions"),
        ({"action": "cancel", "predictions": ["x"]}, "predictions"),
        ({"action": "cancel", "predictions": ["0" * 26]}, "predictions"),
        ({"action": "cancel", "predictions": ["0" * 26] * 1001}, "predictions"),
        ({"action": "cancel", "filter": {}, "limit": 0}, "limit"),
        ({"action": "cancel", "filter": {}, "limit": True}, "limit"),
        ({"action": "cancel", "filter": {}, "dry_run": True}, "dry_run"),
    ],
)
async def test_what_cannot_be_meant_is_refused(world: World, members: Any, field: str) -> None:
    await made(world, 1)
    for path in ("/v1/bulk-actions", "/v1/bulk-actions/preview"):
        reply = await world.post(path, members)
        assert reply.status == 422
        assert [fault["field"] for fault in reply.json()["invalid_fields"]] == [field]


async def test_an_account_acts_on_its_own_predictions_only(world: World) -> None:
    own = await made(world, 2)
    foreign = (await world.create("acme/echo", token=world.other_token))["id"]
    named = await world.post("/v1/bulk-actions", {"action": "cancel", "predictions": [own[0], foreign]})
    absent = await world.post("/v1/bulk-actions", {"action": "cancel", "predictions": [own[0], "0" * 26]})
    assert named.status == absent.status == 422
    assert named.json()["detail"].replace(foreign, "0" * 26) == absent.json()["detail"]
    action = await act(world, "cancel")
    assert action["total"] == 2
    await finished(world, action)
    assert await statuses(world, [foreign]) == ["starting"]
    for method, path in (("GET", ""), ("GET", "/items"), ("POST", "/stop")):
        reply = await world.request(method, f"/v1/bulk-actions/{action['id']}{path}", token=world.other_token)
        assert reply.status == 404
    assert (await world.get("/v1/bulk-actions", token=world.other_token)).json()["results"] == []


async def test_a_key_needs_both_scopes(world: World) -> None:
    body = {"action": "cancel", "filter": {}}
    for scope in (Scope.READ, Scope.WRITE):
        token, _ = await world.keys.issue("alice", "one", frozenset({scope}))
        for path in ("/v1/bulk-actions", "/v1/bulk-actions/preview"):
            assert (await world.post(path, body, token=token)).status == 403


async def test_lists_have_pages(world: World) -> None:
    await made(world, 5)
    actions = [(await act(world, "cancel", filter={"model": f"no/{at}"}))["id"] for at in range(3)]
    first = (await world.get("/v1/bulk-actions?limit=2")).json()
    assert [one["id"] for one in first["results"]] == actions[:0:-1]
    assert first["previous"] is None
    second = (await world.get(first["next"].removeprefix("http://localhost:1986"))).json()
    assert [one["id"] for one in second["results"]] == actions[:1]
    back = (await world.get(second["previous"].removeprefix("http://localhost:1986"))).json()
    assert back["results"] == first["results"]
    action = await act(world, "cancel")
    path, found = f"/v1/bulk-actions/{action['id']}/items?limit=2", []
    while path:
        page = (await world.get(path)).json()
        found += [item["prediction"] for item in page["results"]]
        path = (page["next"] or "").removeprefix("http://localhost:1986")
    assert len(set(found)) == 5
    assert (await world.get(f"/v1/bulk-actions/{action['id']}/items?outcome=x")).status == 422


async def test_old_actions_are_forgotten(world: World) -> None:
    first = await act(world, "cancel", filter={"model": "no/one"})
    world.clock.advance(31 * 86_400)
    await act(world, "cancel", filter={"model": "no/one"})
    assert (await world.get(f"/v1/bulk-actions/{first['id']}")).status == 404


@pytest.mark.parametrize("expose", ["", "1"])
async def test_a_filter_means_what_its_list_shows(world: World, expose: str) -> None:
    ids = await made(world, 4)
    await fail(world, ids[:1])
    await world.post(f"/v1/predictions/{ids[1]}/cancel")
    await world.create(headers={"cancel-after": "5"})
    world.clock.advance(6)
    await world.store.expire(await on_duty(world.store), world.clock.now(), 1e6)
    await world.create("acme/free")
    headers = {"x-halley-expose-aborted": expose}
    found: set[tuple[str, ...]] = set()
    for status in ("starting", "failed", "canceled", "aborted", "canceled,failed"):
        for more in ({}, {"model": "acme/ec*"}, {"error": "BROKE"}):
            wanted = {"status": status, **more}
            page = await world.get(f"/v1/predictions?{urlencode(wanted)}", headers=headers)
            listed = [one["id"] for one in page.json()["results"]]
            preview = await world.post(
                "/v1/bulk-actions/preview", {"action": "rerun", "filter": wanted}, headers=headers
            )
            assert [one["id"] for one in preview.json()["examples"]] == listed, wanted
            action = await world.post("/v1/bulk-actions", {"action": "delete-data", "filter": wanted}, headers=headers)
            assert action.json()["total"] == len(listed), wanted
            for one in (preview, action):
                assert set(one.json()["filter"]["status"].split(",")) == set(status.split(","))
            await world.post(f"/v1/bulk-actions/{action.json()['id']}/stop")
            found.add(tuple(listed))
    assert len(found) > 4


async def test_a_count_ends_when_its_reader_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(world, 3)
    asked: list[str | None] = []
    reader, search = Connection(), world.store.search_ids

    async def noted(account_id: str, wanted: PredictionFilter, part: SearchPart) -> FoundIds:
        asked.append(part.older_than)
        found = await search(account_id, wanted, replace(part, most_rows=1))
        reader.lose()
        return found

    monkeypatch.setattr(world.store, "search_ids", noted)
    body = {"action": "cancel", "filter": {"provider": "x"}}
    reply = await world.request("POST", "/v1/bulk-actions/preview", body=body, connection=reader)
    assert reply.status != 200  # a part of the number is no answer, if the client reads one
    assert len(asked) == 1
    await act(world, "cancel", filter={"provider": "x"})
    assert len(asked) == 4  # what is made is whole

"""Held GETs: who is held, until when, and that waiting costs one look for all."""

import asyncio
from typing import Any

import pytest

from api.world import Reply, World, settled
from halley.api.http.quirks import hold_seconds
from halley.api.waiting.conditions import Until
from halley.errors import Overloaded
from halley.keys.records import Scope
from halley.predictions.status import Fact
from halley.settings import LimitSettings, QuirkSettings

pytestmark = pytest.mark.anyio

PY1 = {"user-agent": "replicate-python/1.0.7"}
OTHER = {"user-agent": "curl/8.5.0"}


class Poller:
    """A client that asks for one prediction again and again."""

    def __init__(self, world: World, prediction_id: str, *, token: str = "", **headers: str) -> None:
        self._world = world
        self._path = f"/v1/predictions/{prediction_id}"
        self._token = token
        self._headers = {"user-agent": PY1["user-agent"], **headers}
        self.asked: asyncio.Future[Reply] | None = None

    async def ask(self) -> Reply | None:
        """Ask; the answer if it comes at once, None if it is held."""
        self.asked = asyncio.ensure_future(self._world.get(self._path, token=self._token, headers=self._headers))
        return await self.news()

    async def news(self) -> Reply | None:
        """The answer to the last question, if it has come."""
        await settled(60)
        assert self.asked is not None
        return self.asked.result() if self.asked.done() else None


async def polling(world: World, **more: Any) -> tuple[str, Poller]:
    """A prediction, and a client that has asked for it once."""
    made = await world.create("acme/tokens")
    poller = Poller(world, made["id"], **more)
    first = await poller.ask()
    assert first is not None
    assert first.json()["status"] == "starting"
    return made["id"], poller


# the habit of polling ---------------------------------------------------------------------------------------------


async def test_the_second_poll_is_held_until_the_status_changes(world: World) -> None:
    prediction_id, poller = await polling(world)
    assert await poller.ask() is None
    await world.start(prediction_id)
    told = await poller.news()
    assert told is not None
    assert told.json()["status"] == "processing"
    assert await poller.ask() is None, "nothing has changed since"
    await world.finish(prediction_id)
    told = await poller.news()
    assert told is not None
    assert told.json()["status"] == "succeeded"


async def test_output_is_sent_at_once_and_logs_after_a_time(world: World) -> None:
    prediction_id, poller = await polling(world)
    await world.start(prediction_id)
    assert await poller.ask() is not None
    assert await poller.ask() is None
    await world.log(prediction_id, "10%")
    world.clock.advance(0.4)
    await world.log(prediction_id, "20%")
    assert await poller.news() is None, "logs alone are told when half a second has passed"
    world.clock.advance(0.1)
    await world.log(prediction_id, "30%")
    told = await poller.news()
    assert told is not None
    assert told.json()["logs"] == "10%20%30%"
    assert await poller.ask() is None
    await world.output(prediction_id, "a", add=True)
    told = await poller.news()
    assert told is not None
    assert told.json()["output"] == ["a"]


async def test_logs_that_arrive_during_a_hold_are_sent_without_another_change(world: World) -> None:
    world.hub.coalesce_seconds = 0.02
    prediction_id, poller = await polling(world)
    await world.start(prediction_id)
    await poller.ask()
    assert await poller.ask() is None
    await world.log(prediction_id, "10%")
    assert await poller.news() is None
    world.clock.advance(0.02)
    assert poller.asked is not None
    assert (await poller.asked).json()["logs"] == "10%"


async def test_what_changed_between_two_polls_counts(world: World) -> None:
    prediction_id, poller = await polling(world)
    await world.start(prediction_id)
    told = await poller.ask()
    assert told is not None
    assert told.json()["status"] == "processing"
    await world.log(prediction_id, "10%")
    assert await poller.ask() is None, "logs are no reason to hurry"
    world.clock.advance(0.5)
    world.changed(prediction_id)
    told = await poller.news()
    assert told is not None
    assert told.json()["logs"] == "10%"
    await world.output(prediction_id, "a", add=True)
    assert await poller.ask() is not None


async def test_a_held_poll_ends_with_its_time_and_the_next_one_is_held_again(world: World) -> None:
    prediction_id, poller = await polling(world)
    assert await poller.ask() is None
    world.clock.advance(1.9)
    world.changed(prediction_id)
    assert await poller.news() is None
    world.clock.advance(0.1)
    world.changed(prediction_id)
    told = await poller.news()
    assert told is not None
    assert (told.status, told.json()["status"]) == (200, "starting")
    assert await poller.ask() is None


async def test_an_end_is_sent_at_once_to_every_client(world: World) -> None:
    prediction_id, poller = await polling(world)
    await world.run(prediction_id, "hello")
    told = await poller.ask()
    assert told is not None
    assert told.json()["output"] == "hello"
    assert len(world.api.parts.polls) == 0


async def test_two_waiting_requests_with_different_state_are_answered_at_different_times(world: World) -> None:
    prediction_id, late = await polling(world)
    early = Poller(world, prediction_id, token=(await world.keys.issue("alice", "second"))[0])
    await world.start(prediction_id)
    await early.ask()
    assert await early.ask() is None, "it knows that it runs"
    told = await late.ask()
    assert told is not None
    assert told.json()["status"] == "processing", "this one did not"
    assert await late.ask() is None
    await world.output(prediction_id, "a", add=True)
    assert await early.news() is not None
    assert await late.news() is not None


@pytest.mark.parametrize("agent", ["curl/8.5.0", "", "Mozilla/5.0", "replicate-cli/1.0", "my-replicate-python/1.0"])
async def test_only_official_clients_are_held_without_asking(world: World, agent: str) -> None:
    made = await world.create("acme/free")
    poller = Poller(world, made["id"], **{"user-agent": agent})
    for _ in range(3):
        assert await poller.ask() is not None


async def test_who_does_not_ask_again_soon_is_not_polling(world: World) -> None:
    _, poller = await polling(world)
    world.clock.advance(5.1)
    assert await poller.ask() is not None


async def test_only_questions_of_the_same_key_and_prediction_are_a_habit(world: World) -> None:
    await polling(world)
    second, _ = await world.keys.issue("alice", "second")
    prediction_id, _ = await polling(world)
    assert await Poller(world, prediction_id, token=second).ask() is not None


async def test_a_question_for_the_head_is_never_held(world: World) -> None:
    prediction_id, _ = await polling(world)
    for _ in range(2):
        reply = await world.request("HEAD", f"/v1/predictions/{prediction_id}", headers=PY1)
        assert (reply.status, reply.body) == (200, b"")


async def test_holding_can_be_switched_off_for_a_key(world: World) -> None:
    key = (await world.keys.verify(world.token)).key
    await world.keys.change_options(key.id, {"hold": False})
    _, poller = await polling(world)
    assert await poller.ask() is not None
    await world.keys.change_options(key.id, {"hold": True})
    assert await poller.ask() is not None, "the first of its habit"
    assert await poller.ask() is None


async def test_holding_can_be_switched_off_for_all() -> None:
    world = await World(quirks=QuirkSettings(hold_polls=False)).fill()
    _, poller = await polling(world)
    assert await poller.ask() is not None


async def test_the_longest_hold_is_a_setting(world: World) -> None:
    world.api.parts.limits = LimitSettings(hold_seconds=12)
    world.hub.coalesce_seconds = 5.0
    prediction_id, poller = await polling(world)
    await world.start(prediction_id)
    await poller.ask()
    assert await poller.ask() is None
    await world.log(prediction_id, "10%")
    world.clock.advance(4.9)
    world.changed(prediction_id)
    assert await poller.news() is None
    world.clock.advance(0.1)
    world.changed(prediction_id)
    assert await poller.news() is not None
    assert await poller.ask() is None
    world.clock.advance(9.9)
    world.changed(prediction_id)
    assert await poller.news() is None
    world.clock.advance(2.1)
    world.changed(prediction_id)
    assert await poller.news() is not None


async def test_a_hold_time_of_zero_holds_no_request() -> None:
    world = await World(limits=LimitSettings(hold_seconds=0)).fill()
    _, poller = await polling(world)
    assert await poller.ask() is not None


@pytest.mark.parametrize(
    ("agent", "seconds"),
    [
        ("replicate-python/1.0.7", 20),
        ("replicate-python/1.2.0", 20),
        ("replicate-python/2.0.0", 10),
        ("replicate-python/", 10),
        ("Replicate/Python 2.0.0-beta.4", 20),
        ("AsyncReplicate/Python 2.1.0", 20),
        ("_ModuleClient/Python 3.0.0", 10),
        ("replicate-javascript/1.4.0", 20),
        ("replicate-javascript/2.0.0", 10),
        ("replicate-go/0.26.0", 10),
        ("replicate-cli/1.0", 0),
        ("python-requests/2.32", 0),
        ("", 0),
    ],
)
async def test_the_poll_interval_depends_on_client_and_version(agent: str, seconds: float) -> None:
    assert hold_seconds(agent) == seconds


async def test_sent_state_is_dropped_after_a_time(world: World) -> None:
    for _ in range(3):
        await polling(world)
    assert len(world.api.parts.polls) == 3
    world.clock.advance(6)
    await polling(world)
    assert len(world.api.parts.polls) == 1


# asked to wait ----------------------------------------------------------------------------------------------------


async def test_a_wait_is_not_ended_by_progress(world: World) -> None:
    made = await world.create("acme/tokens")
    poller = Poller(world, made["id"], prefer="wait=30", **OTHER)
    assert await poller.ask() is None
    await world.start(made["id"])
    await world.output(made["id"], "a", add=True)
    assert await poller.news() is None
    world.clock.advance(30)
    world.changed(made["id"])
    told = await poller.news()
    assert told is not None
    assert (told.json()["status"], told.json()["output"]) == ("processing", ["a"])
    assert told.headers["preference-applied"] == "wait=30"


async def test_a_wait_ends_by_itself(world: World) -> None:
    made = await world.create("acme/free")
    poller = Poller(world, made["id"], prefer="wait=1", **OTHER)
    assert await poller.ask() is None
    world.clock.advance(1)  # nothing else wakes it
    assert poller.asked is not None
    assert (await poller.asked).json()["status"] == "starting"
    assert len(world.hub) == 0


async def test_who_waits_with_a_validator_waits_for_any_change(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    path = f"/v1/predictions/{made['id']}"
    etag = (await world.get(path)).headers["etag"]
    poller = Poller(world, made["id"], prefer="wait=30", **{"if-none-match": etag}, **OTHER)
    assert await poller.ask() is None
    await world.log(made["id"], "10%")
    told = await poller.news()
    assert told is not None
    assert (told.status, told.json()["logs"]) == (200, "10%")
    told = await poller.ask()
    assert told is not None, "what it names is old: it is told at once"
    assert told.status == 200
    again = Poller(world, made["id"], prefer="wait=30", **{"if-none-match": told.headers["etag"]}, **OTHER)
    assert await again.ask() is None
    world.clock.advance(30)
    world.changed(made["id"])
    told = await again.news()
    assert told is not None
    assert (told.status, told.body) == (304, b"")


async def test_the_validator_changes_with_what_it_waits_for(world: World) -> None:
    made = await world.create("acme/tokens")
    path = f"/v1/predictions/{made['id']}"
    plain = (await world.get(path)).headers["etag"]
    for why in ("its environment is being built: 1 of 9", "its environment is being built: 2 of 9"):
        known = (await world.get(path)).headers["etag"]
        world.why_starting = why
        told = await world.get(path, headers={"if-none-match": known})
        assert (told.status, told.json()["starting_reason"]) == (200, why)
        assert (await world.get(path, headers={"if-none-match": told.headers["etag"]})).status == 304
    world.why_starting = None
    assert (await world.get(path)).headers["etag"] == plain


async def test_the_validator_changes_with_everything_that_is_shown(world: World) -> None:
    made = await world.create("acme/tokens")
    path = f"/v1/predictions/{made['id']}"
    seen = [(await world.get(path)).headers["etag"]]
    await world.start(made["id"])
    for step in (
        world.log(made["id"], "10%"),
        world.output(made["id"], "a", add=True),
        world.output(made["id"], "b", add=True),
        world.finish(made["id"]),
    ):
        seen.append((await world.get(path)).headers["etag"])
        unchanged = await world.get(path, headers={"if-none-match": f'"other", {seen[-1]}'})
        assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", seen[-1])
        await step
        assert (await world.get(path, headers={"if-none-match": seen[-1]})).status == 200
    seen.append((await world.get(path)).headers["etag"])
    assert len(set(seen)) == len(seen)
    assert (await world.get(path, headers={"if-none-match": "*"})).status == 304


async def test_another_accounts_prediction_is_absent_for_waiting_requests_too(world: World) -> None:
    made = await world.create("acme/free")
    for headers in ({"prefer": "wait=9"}, PY1):
        path = f"/v1/predictions/{made['id']}"
        assert (await world.get(path, token=world.other_token, headers=headers)).status == 404
    assert len(world.hub) == 0


@pytest.mark.parametrize(
    "path", ["/v1/predictions", "/v1/models", "/v1/account", "/v1/files", "/v1/predictions/" + "0" * 26, "/v1/none"]
)
async def test_nothing_that_is_read_may_be_stored_on_the_way(world: World, path: str) -> None:
    await world.create()
    assert (await world.get(path)).headers["cache-control"] == "no-store"


# many who wait ----------------------------------------------------------------------------------------------------


async def test_all_who_wait_for_one_prediction_cost_one_look(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    pollers = [Poller(world, made["id"], prefer="wait=30", **OTHER) for _ in range(120)]
    for poller in pollers:
        assert await poller.ask() is None
    before = world.counting.reads
    await world.finish(made["id"])
    replies = [await poller.news() for poller in pollers]
    assert {reply.body for reply in replies if reply is not None} == {replies[0].body}  # type: ignore[union-attr]
    assert None not in replies
    assert world.counting.reads == before + 1


async def test_a_change_between_reading_and_parking_is_not_missed(world: World) -> None:
    made = await world.create("acme/free")
    given: list[Any] = []

    async def tell(found: Any) -> Any:
        return found.row.status

    with world.hub.enter(made["id"], {}) as hold:
        row = await world.row(made["id"])
        later = hold.expect(row, Until.END, tell, seconds=30, carrier=("key", Scope.READ)).later()
    await world.run(made["id"])
    await settled(60)
    assert given == [], "it is not ready to be told"
    assert later.later is hold
    hold.park(given.append)
    await settled(60)
    assert given == ["succeeded"]
    assert len(world.hub) == 0


async def test_whoever_leaves_while_its_answer_is_made_is_not_answered(world: World) -> None:
    made, is_made, given = await world.create("acme/free"), asyncio.Event(), list[Any]()

    async def tell(found: Any) -> Any:
        await is_made.wait()
        return found

    with world.hub.enter(made["id"], {}) as hold:
        row = await world.row(made["id"])
        hold.expect(row, Until.END, tell, seconds=30, carrier=("key", Scope.READ)).later()
    hold.park(given.append)
    await world.run(made["id"])
    await settled(60)
    assert len(world.hub) == 0
    hold.leave()
    is_made.set()
    await settled(60)
    assert given == []


async def test_a_row_that_was_read_before_the_one_it_knows_is_no_change(world: World) -> None:
    prediction_id = (await world.create("acme/free"))["id"]
    before = await world.row(prediction_id)
    await world.start(prediction_id)
    known = await world.row(prediction_id)

    async def tell(found: Any) -> Any:
        return found

    with world.hub.enter(prediction_id, {}) as hold:
        hold.expect(known, Until.CHANGE, tell, seconds=30, carrier=("key", Scope.READ))
        await world.log(prediction_id, "x")
        after = await world.row(prediction_id)
        ready = [hold.is_ready(row, 0, world.clock.monotonic()) for row in (before, known, after)]
    assert ready == [False, False, True]


async def test_releasing_answers_all_and_later_requests_are_not_held(world: World) -> None:
    prediction_id, poller = await polling(world)
    asker = Poller(world, prediction_id, prefer="wait=30", **OTHER)
    assert await poller.ask() is None
    assert await asker.ask() is None
    world.api.release_waiting()
    for one in (poller, asker):
        told = await one.news()
        assert told is not None
        assert (told.status, told.json()["status"]) == (200, "starting")
        assert await one.ask() is not None
    assert len(world.hub) == 0


async def test_an_error_of_the_store_reaches_each_waiting_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await world.create("acme/free")
    getter = Poller(world, made["id"], prefer="wait=30", **OTHER)
    assert await getter.ask() is None
    creator, created = await waiting_create(world)

    async def fails(*_: Any) -> Any:
        raise Overloaded("the disk does not answer")

    monkeypatch.setattr(world.predictions, "find", fails)
    for prediction_id in (made["id"], created):
        world.changed(prediction_id)
    told = await getter.news()
    assert told is not None
    assert (told.status, told.json()["detail"]) == (503, "the disk does not answer")
    assert (await creator).status == 202, "it is stored: nothing may look like a failed create"


async def test_a_fault_of_ours_is_a_500_for_those_concerned(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = await world.create("acme/free")
    poller = Poller(world, made["id"], prefer="wait=30", **OTHER)
    assert await poller.ask() is None

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(world.api.parts.encoded, "of", broken)
    await world.run(made["id"])
    told = await poller.news()
    assert told is not None
    assert told.status == 500
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    assert (await poller.ask()).json()["status"] == "succeeded"  # type: ignore[union-attr]


async def test_one_error_for_many_is_explained_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = await world.create("acme/free")
    getters = [Poller(world, made["id"], prefer="wait=30", **OTHER) for _ in range(50)]
    assert [await getter.ask() for getter in getters] == [None] * 50

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(world.predictions, "find", broken)
    world.changed(made["id"])
    told = [await getter.news() for getter in getters]
    assert {one and one.status for one in told} == {500}
    assert caplog.text.count("in broken") == 1
    assert len(caplog.text) < 20_000, "it does not grow with each request that is told of it"


async def waiting_create(world: World) -> tuple[asyncio.Future[Reply], str]:
    """A create that has waited so long that its task was let go, and its prediction's id."""
    asked = asyncio.ensure_future(
        world.post("/v1/predictions", {"version": "acme/free", "input": {}}, headers={"Prefer": "wait=30"})
    )
    await settled()
    made = (await world.store.page((await world.keys.verify(world.token)).account.id, limit=1)).items[0]
    world.clock.advance(1)
    world.changed(made.id)
    await settled()
    assert world.hub.parked >= 1
    return asked, made.id


@pytest.mark.parametrize("fact", [Fact.SUCCEEDED, None])
async def test_a_create_that_waits_long_is_answered_like_one_that_waits_shortly(
    world: World, fact: Fact | None
) -> None:
    asked, prediction_id = await waiting_create(world)
    await world.start(prediction_id)
    if fact is not None:
        await world.finish(prediction_id, fact)
    else:
        world.clock.advance(29)
        world.changed(prediction_id)
    reply = await asked
    assert (reply.status, reply.json()["status"]) == ((201, "succeeded") if fact else (202, "starting"))
    assert reply.headers["preference-applied"] == "wait=30"
    assert reply.headers["location"] == reply.json()["urls"]["get"]

"""Polls of a running prediction: each shows all that is stored, and reads only what is new."""

import pytest

from api.world import World
from halley.predictions.status import Fact

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


async def test_why_it_has_not_started_is_never_an_old_answer(world: World) -> None:
    made = await world.create("acme/echo")
    path = f"/v1/predictions/{made['id']}"
    assert "starting_reason" not in (await world.get(path)).json()
    world.why_starting = "its environment is being built"
    assert (await world.get(path)).json()["starting_reason"] == "its environment is being built"

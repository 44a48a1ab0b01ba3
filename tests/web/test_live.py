"""The event stream of live pages tells an account's own changes, together, and ends with the key."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from api.world import World, settled
from halley.api.waiting.account_changes import CHANGED, END, PACE_SECONDS, READS_AT_ONCE
from halley.api.waiting.streams import HELLO
from halley.keys.sign_ins import CHECK_SECONDS
from web.browser import Browser

pytestmark = pytest.mark.anyio


class Listener:
    """Collects what a stream sends."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self.pieces: list[bytes] = []
        self._task = asyncio.ensure_future(self._listen(chunks))

    async def _listen(self, chunks: AsyncGenerator[bytes, None]) -> None:
        async for piece in chunks:
            self.pieces.append(piece)

    def taken(self) -> list[bytes]:
        taken, self.pieces = self.pieces, []
        return taken

    @property
    def is_over(self) -> bool:
        return self._task.done()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def listening(browser: Browser, topic: str = "predictions") -> Listener:
    listener = Listener(await browser.open_stream(f"/ui/live?topic={topic}"))
    await settled()
    assert listener.taken() == [HELLO, CHANGED]
    return listener


async def passed(world: World, seconds: float) -> None:
    await settled()
    world.clock.advance(seconds)
    await settled()


async def made_by(world: World, token: str = "") -> str:
    """A new prediction that has changed."""
    made = await world.create(token=token or world.token)
    world.changed(made["id"])
    return str(made["id"])


async def test_changes_of_the_own_account_come_together(world: World, browser: Browser) -> None:
    alice = await listening(browser)
    bob = await listening(await Browser(world).signed_in(world.other_token))
    for _ in range(5):
        await made_by(world)
    await settled()
    assert alice.taken() == [CHANGED]
    for _ in range(5):
        await made_by(world)
    assert alice.taken() == []
    await passed(world, PACE_SECONDS)
    assert alice.taken() == [CHANGED]
    await passed(world, PACE_SECONDS)
    assert alice.taken() == []
    assert bob.taken() == []
    for one in (alice, bob):
        await one.stop()
    assert len(world.dashboard.api.changes) == 0
    assert len(world.hub) == 0


async def test_it_ends_with_the_key(world: World, browser: Browser) -> None:
    listener = await listening(browser)
    await world.keys.revoke((await world.keys.verify(world.token)).key.id)
    await world.api.parts.revocations.look()
    await settled()
    assert listener.taken() == [END]
    assert listener.is_over


async def test_it_ends_with_the_sign_in(world: World, browser: Browser) -> None:
    listener = await listening(browser)
    elsewhere = await listening(await Browser(world).signed_in(world.token))
    await browser.post("/ui/sign-out")
    await passed(world, CHECK_SECONDS)
    await made_by(world)
    await passed(world, PACE_SECONDS)
    assert (listener.taken(), listener.is_over) == ([], True)
    assert (elsewhere.taken(), elsewhere.is_over) == ([CHANGED], False)
    await elsewhere.stop()


@pytest.mark.parametrize("path", ["/ui/live?topic=predictions", "/ui/predictions/{}/events"])
async def test_a_silent_stream_ends_with_the_sign_in(world: World, browser: Browser, path: str) -> None:
    made = await world.create()
    listener = Listener(await browser.open_stream(path.format(made["id"])))
    await settled()
    await browser.post("/ui/sign-out")
    await passed(world, CHECK_SECONDS)  # nothing happens meanwhile
    assert listener.is_over
    assert len(world.hub) == 0


async def test_one_prediction_is_followed_by_its_account_only(world: World, browser: Browser) -> None:
    made = await world.create()
    other = await world.create()
    listener = await listening(browser, f"prediction:{made['id']}")
    await passed(world, PACE_SECONDS)
    world.changed(other["id"])
    await settled()
    assert listener.taken() == []
    world.changed(made["id"])
    await settled()
    assert listener.taken() == [CHANGED]
    await listener.stop()
    stranger = await Browser(world).signed_in(world.other_token)
    assert (await stranger.get(f"/ui/live?topic=prediction:{made['id']}")).status == 404
    assert (await stranger.get("/ui/live?topic=else")).status == 404
    assert (await Browser(world).get("/ui/live")).status == 401


async def test_many_streams_cost_few_reads_and_are_told_less_often(world: World, browser: Browser) -> None:
    listeners = [await listening(browser) for _ in range(50)]
    changes = world.dashboard.api.changes
    made = [await made_by(world) for _ in range(200)]
    await settled()
    assert {tuple(one.taken()) for one in listeners} == {(CHANGED,)}
    assert changes.reads == 1  # all streams are of one account: the first row tells it
    world.changed(made[7])
    await passed(world, 4.9)
    assert {tuple(one.taken()) for one in listeners} == {()}
    await passed(world, 0.2)
    assert {tuple(one.taken()) for one in listeners} == {(CHANGED,)}
    for one in listeners:
        await one.stop()


async def test_changes_of_others_are_read_in_portions(world: World, browser: Browser) -> None:
    listener = await listening(browser)
    changes = world.dashboard.api.changes
    for _ in range(3 * READS_AT_ONCE):
        await made_by(world, world.other_token)
    await made_by(world)
    await settled(200)
    assert changes.reads <= READS_AT_ONCE
    for _ in range(4):
        await passed(world, PACE_SECONDS)
    assert listener.taken() == [CHANGED]
    await listener.stop()

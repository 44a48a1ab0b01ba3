"""Retries on a real database, over a restart, in simulated time."""

from pathlib import Path

import pytest

from halley.errors import FetchFailed
from halley.store.sqlite import open_sqlite
from halley.webhooks.records import DeliveryOutcome, MessageState, completed_id
from unit.webhooks.conftest import Room, settled

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]
DAYS = 86_400
DOWN = FetchFailed("https://receiver.example/hook could not be reached: ConnectError")


class DiskRoom(Room):
    """Writes are done by a thread: what is under way there belongs to what can be done now."""

    async def settle(self) -> None:
        for _ in range(5):
            await settled(5)
            await self.store._writer.submit(lambda _connection: None)


@pytest.mark.parametrize(
    ("jump", "late"),
    [
        (0, [2046, 4094]),
        (DAYS, [1100, 3148, 7244]),  # at the restart the pause seems to be over
        (-DAYS, [2124, 4172]),  # at the restart it begins anew
    ],
)
async def test_a_receiver_that_is_down_for_an_hour_gets_everything_though_we_restart(
    tmp_path: Path, jump: int, late: list[int]
) -> None:
    path = tmp_path / "halley.db"
    async with open_sqlite(path) as store:
        room = DiskRoom(store, retry_for_seconds=3 * DAYS)
        await room.begin()
        room.receiver.always = DOWN
        began = room.clock.monotonic()
        made = [await room.done() for _ in range(3)]
        await room.pass_time(1000)
        room.clock.jump(jump)
        await room.pass_time(100)
        await room.kill()
    async with open_sqlite(path) as room.store:
        await room.begin()
        await room.pass_time(2500)
        room.receiver.always = 200
        await room.pass_time(4200)
        assert not room.has_crashed
        expected = [0, 2, 6, 14, 30, 62, 126, 254, 510, 1022, *late]
        for each in made:
            assert [round(one.at - began) for one in room.told if one.body["id"] == each] == expected
        log = await room.log()
        for each in made:
            message = await room.store.deliveries.message(completed_id(each))
            assert message is not None
            assert (message.state, message.sent) == (MessageState.DELIVERED, len(expected))
            outcomes = [(one.attempt, one.outcome) for one in log if one.prediction_id == each]
            assert outcomes == [
                *((n, DeliveryOutcome.FAILED) for n in range(1, len(expected))),
                (len(expected), DeliveryOutcome.DELIVERED),
            ]
        await room.kill()

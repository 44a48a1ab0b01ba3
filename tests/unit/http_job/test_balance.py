"""What is left at a service is asked for when somebody looks, and looks never wait."""

import asyncio

import pytest

from halley.egress.errors import FetchFailed
from halley.providers.services.balance import AGE_SECONDS, BalanceReader
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class Service:
    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.notes: list[str] = []

    async def ask(self) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def looked(reader: BalanceReader) -> float | None:
    """What is known after a look and its request."""
    reader.known()
    for _ in range(5):
        await asyncio.sleep(0)
    known = reader.known()
    return None if known is None else known.left


async def test_a_balance_is_asked_for_again_only_when_it_is_old() -> None:
    service, clock = Service("12.50", 11), FakeClock()
    reader = BalanceReader(service.ask, clock, unit="USD", note=service.notes.append)
    assert reader.known() is None  # nobody waits for the service
    assert await looked(reader) == 12.5
    assert await looked(reader) == 12.5
    clock.advance(AGE_SECONDS)
    assert await looked(reader) == 11
    assert service.answers == []
    await reader.close()


@pytest.mark.parametrize("answer", [True, "much", float("nan"), [1], None, 10**400, FetchFailed("cut off")])
async def test_an_answer_without_a_number_is_noted_and_the_last_balance_stays(answer: object) -> None:
    service, clock = Service(3, answer), FakeClock()
    reader = BalanceReader(service.ask, clock, unit=None, note=service.notes.append)
    assert await looked(reader) == 3
    clock.advance(AGE_SECONDS)
    assert await looked(reader) == 3
    assert len(service.notes) == 1
    await reader.close()

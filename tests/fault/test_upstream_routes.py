"""The short form of `scripts/faults upstream_routes`."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from fault.routed_mix import RoutedMix
from fault.routed_services import RoutedService, SentLedger
from halley.dispatch import breaker
from halley.providers.replicate.creates import Create, Creates
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict
from halley.settings import RouteSettings

pytestmark = [pytest.mark.anyio, pytest.mark.fault]


async def test_a_route_goes_around_what_is_out_of_order_and_sends_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "FIRST_PAUSE_SECONDS", 0.3)
    ledger = SentLedger()
    services = [
        RoutedService("replicate", ledger, outages=((0.2, 0.9),)),
        RoutedService("cometapi", ledger, stages=3, loses=0.05, per_second=20),
        RoutedService("halley", ledger, stages=8, refuses=0.1),
    ]
    route = RouteSettings(providers=("replicate", "cometapi", "halley"))
    result = await RoutedMix(tmp_path, services, route, slots=3).run(130, 80.0, limit_seconds=50.0)
    ledger.check()
    assert len(result.rows) == 130
    assert set(result.reasons) <= {"upstream_outcome_unknown"}
    assert len(result.places) == 3, "each of them ran some"
    states = result.breakers["replicate"]
    assert (states[0], states[-1]) == ("open", "closed"), states


async def test_planted_bug_what_may_have_begun_is_sent_elsewhere_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Creates, "send", as_if_nothing_was_begun(Creates.send))
    ledger = SentLedger()
    services = [RoutedService("cometapi", ledger, loses=0.5), RoutedService("halley", ledger)]
    route = RouteSettings(providers=("cometapi", "halley"))
    await RoutedMix(tmp_path, services, route, slots=4).run(20, 100.0, limit_seconds=50.0)
    with pytest.raises(AssertionError, match="was sent again"):
        ledger.check()


def as_if_nothing_was_begun(
    send: Callable[[Creates, Create], Awaitable[SubmitAnswer]],
) -> Callable[[Creates, Create], Awaitable[SubmitAnswer]]:
    """Takes an answer that is not clear for a proof."""

    async def sent(creates: Creates, create: Create) -> SubmitAnswer:
        said = await send(creates, create)
        is_unclear = said.verdict is SubmitVerdict.UNKNOWN
        return msgspec.structs.replace(said, verdict=SubmitVerdict.BUSY) if is_unclear else said

    return sent


async def test_a_broken_service_gets_few_requests_however_many_predictions_there_are(tmp_path: Path) -> None:
    ledger = SentLedger()
    services = [RoutedService("replicate", ledger, refuses=1.0), RoutedService("halley", ledger)]
    route = RouteSettings(weights={"replicate": 1, "halley": 1})
    result = await RoutedMix(tmp_path, services, route, slots=4).run(60, 100.0, limit_seconds=50.0)
    ledger.check()
    assert result.succeeded == 60
    assert ledger.creates <= 60 + 10 + 4, "its saved retries, and what was on its way when they were used up"

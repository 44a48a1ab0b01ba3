"""The background services of a process, by role."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from halley.app.hangup import look_again_on_hangup
from halley.app.roles import Role
from halley.app.services import ApiParts, Services
from halley.app.start import Start
from halley.app.stopping import Front, stop_on_signal
from halley.app.tls import ServerCertificate
from halley.predictions.duties import Duty
from halley.retry import run_housekeeping

HOUSEKEEPING_SECONDS: Final = 60.0
PERIODS_SECONDS: Final = 10.0
WATCH_SECONDS: Final = 1.0
_KEYS_AT_ONCE: Final = 1000

Turn = Callable[[], Awaitable[None]]


def services_of(parts: Services, start: Start, front: Front) -> list[Coroutine[Any, Any, None]]:
    """The services that run until the process stops.

    The process ends if an essential service fails: dispatching, webhooks, the store, stopping. Housekeeping is retried
    instead.
    """
    essential = [_watch_store(parts), stop_on_signal(parts, front), look_again_on_hangup(parts, start)]
    if parts.working is not None:
        essential.append(parts.worker.run())
    if parts.maintaining is not None:
        essential += [parts.maintainer.run(), *_on_duty(parts)]
    looking_after = _looking_after(parts, start)
    return [
        *essential,
        *[run_housekeeping(turn, parts.clock, what, parts.housekeeping_faults) for what, turn in looking_after.items()],
    ]


def _on_duty(parts: Services) -> list[Coroutine[Any, Any, None]]:
    """The services of the maintainer. Removing old data also starts there, after the models are loaded: see
    `serving`.
    """

    async def prune(_: Duty | None) -> None:
        await run_housekeeping(
            lambda: _prune_idempotency_keys(parts), parts.clock, "pruning idempotency keys", parts.housekeeping_faults
        )

    return [parts.maintainer.while_on_duty(service) for service in (parts.webhooks.run, prune)]


def _looking_after(parts: Services, start: Start) -> dict[str, Turn]:
    turns: dict[str, Turn] = {"forgetting what was read": parts.base.running.run}
    if parts.answering is not None:
        turns |= _for_requests(parts, parts.answering)
    if parts.working is not None:
        turns["looking for runs with an unknown outcome"] = parts.working.late_runs.turn
    if start.tls is not None:
        turns["renewing the certificate"] = _renewing(parts, start.tls)
    if parts.maintaining is None or start.node.is_shared:  # the process that removes old data reads these first
        turns["looking at retention periods"] = lambda: _refresh_periods(parts)
    if parts.offered is not None and Role.API in start.node.roles:
        turns["looking for offered models"] = parts.offered.turn
    return turns


def _for_requests(parts: Services, answering: ApiParts) -> Mapping[str, Turn]:
    return {
        "checking the store": answering.store_check.turn,
        "looking for changes": parts.base.signals.change_poller.turn,
        "looking after keys": answering.api.parts.revocations.turn,
        "canceling abandoned work": answering.use_cases.attendance.run,
        "carrying out bulk actions": answering.use_cases.of_predictions.bulk.turn,
    }


async def _watch_store(parts: Services) -> None:
    """End the process when nothing can be written any more: a restart reads what is really on the disk."""
    while True:
        await parts.clock.sleep(WATCH_SECONDS)
        if parts.store.broken is not None:
            raise parts.store.broken


def _renewing(parts: Services, tls: ServerCertificate) -> Turn:
    async def turn() -> None:
        await parts.clock.sleep(HOUSEKEEPING_SECONDS)
        tls.refresh()

    return turn


async def _prune_idempotency_keys(parts: Services) -> None:
    await parts.clock.sleep(HOUSEKEEPING_SECONDS)
    while await parts.store.forget_idempotency_keys(parts.clock.now(), _KEYS_AT_ONCE):
        pass


async def _refresh_periods(parts: Services) -> None:
    await parts.clock.sleep(PERIODS_SECONDS)
    await parts.base.data.periods.refresh()

"""Opens the provider for fake Cog servers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec

from halley.clock import SystemClock
from halley.dispatch.ports import Emit, Outcome, RunListener, Work
from halley.dispatch.upstreams import UpstreamTarget
from halley.egress import OriginClient
from halley.providers.cog.exchange import ExchangeRules
from halley.providers.cog.provider import CogProvider, CogRules
from halley.providers.services.dependencies import UpstreamDependencies
from halley.testing.cog.server import FakeCog
from halley.testing.replicate.opening import Answers, Held

TOKEN: Final = "cog-canary"  # noqa: S105 - a toy, searched for in what may never have it
FAST: Final = ExchangeRules(poll_seconds=0.01, unanswered_seconds=0.03)


@asynccontextmanager
async def open_provider(
    *servers: FakeCog,
    rules: Mapping[str, object] | None = None,
    versions: Sequence[str] = ("v",),
    answers: Answers | None = None,
) -> AsyncIterator[CogProvider]:
    """A provider for these servers."""
    document = b"" if servers[0].line == "bare" else msgspec.json.encode(servers[0].document)
    given = CogRules(token=TOKEN, concurrency=servers[0].slots, exchange=FAST, cancel_grace_seconds=2.0)
    provider = CogProvider(
        [OriginClient(server.url, silence_seconds=5.0) for server in servers],
        msgspec.structs.replace(given, **(rules or {})),
        UpstreamDependencies(
            find_target=lambda version: UpstreamTarget(model="test/model") if version in versions else None,
            held=Held().among,
            document_of=lambda _: document,
            answered=answers or Answers(),
            chance=lambda: 0.5,
        ),
        clock=SystemClock(),
    )
    provider.listen(on_capacity=_ignore, on_broken=_ignore)
    try:
        yield provider
    finally:
        await provider.close()


def _ignore(*_: str) -> None:
    pass


class ByVersion:
    """Providers for servers with different models as one, for the contract suite."""

    is_local: Final = False
    wants_local_files: Final = False

    def __init__(self, providers: Mapping[str, CogProvider]) -> None:
        self._providers = providers
        self._any = next(iter(providers.values()))

    def listen(self, *, on_capacity: Any, on_broken: Any) -> None:
        """See `Provider`, as all below."""
        for provider in self._providers.values():
            provider.listen(on_capacity=on_capacity, on_broken=on_broken)

    def _of(self, version: str) -> CogProvider:
        return self._providers.get(version, self._any)

    def free_slots(self, version: str) -> int:
        return self._of(version).free_slots(version)

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        self._of(version).request_capacity(version, alone=alone)

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        return self._of(version).take_slot(version, alone=alone)

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        self._of(version).drop_slot(version, alone=alone)

    async def submit(self, work: Work) -> str:
        return await self._of(work.version).submit(work)

    def begin_at_once(self, work: Work, listener: RunListener) -> None:
        self._of(work.version).begin_at_once(work, listener)

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        return await self._of(work.version).adopt(work, handle)

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        found = next((one for one in self._providers.values() if one.follows(handle)), self._any)
        return await found.follow(handle, emit)

    def cancel(self, handle: str) -> None:
        for provider in self._providers.values():
            provider.cancel(handle)


@asynccontextmanager
async def open_providers(
    servers: Mapping[str, FakeCog], *, limits: Mapping[str, int], broken: Mapping[str, str]
) -> AsyncIterator[ByVersion]:
    """One provider for each version, whose server has its model."""
    async with AsyncExitStack() as stack:
        found = {
            version: await stack.enter_async_context(
                open_provider(server, versions=(version,), rules={"limits": limits, "broken": broken})
            )
            for version, server in servers.items()
        }
        yield ByVersion(found)

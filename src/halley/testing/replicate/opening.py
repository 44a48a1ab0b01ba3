"""Opens the provider for the fake service."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from halley.clock import Clock, SystemClock
from halley.dispatch.upstreams import UpstreamTarget
from halley.egress import OriginClient
from halley.providers.replicate.profiles import PROFILES
from halley.providers.replicate.provider import ReplicateProvider, UpstreamRules
from halley.providers.services.dependencies import UpstreamDependencies
from halley.providers.services.poll_rules import PollRules
from halley.testing.replicate.service import TOKEN, Style

FAST: Final = PollRules(
    first_seconds=0.005,
    changed_seconds=0.005,
    longest_seconds=0.02,
    per_second=2000.0,
    gone_seconds=0.1,
    hinted_seconds=0.05,
)

VERSIONS: Final = frozenset({"echo", "stream", "fail", "wait"})


class Held:
    """The handles that are stored with predictions."""

    def __init__(self) -> None:
        self.handles: set[str] = set()

    async def among(self, handles: Sequence[str]) -> frozenset[str]:
        return frozenset(self.handles.intersection(handles))


class Answers:
    """What was reported to the circuit breaker."""

    def __init__(self) -> None:
        self.heard: list[bool] = []

    def __call__(self, has_answered: bool) -> None:
        self.heard.append(has_answered)


@asynccontextmanager
async def open_provider(
    url: str,
    style: Style,
    *,
    rules: Mapping[str, object] | None = None,
    documents: Mapping[str, bytes] | None = None,
    held: Held | None = None,
    settle_seconds: float = 0.0,
    clock: Clock | None = None,
    dependencies: Mapping[str, object] | None = None,
) -> AsyncIterator[ReplicateProvider]:
    """A provider that polls fast; each of VERSIONS is a model `test/VERSION` there. `rules` and `dependencies` replace
    members of its `UpstreamRules` and `UpstreamDependencies`.
    """
    profile = PROFILES[style]
    settles = None if profile.settle_seconds is None else settle_seconds
    profile = msgspec.structs.replace(profile, poll=FAST, settle_seconds=settles, needs_version=False)
    given = UpstreamRules(token=TOKEN, profile=profile, look_seconds=3.0, timeout_seconds=5.0, cancel_grace_seconds=2.0)
    known = documents or {}
    provider = ReplicateProvider(
        OriginClient(url, silence_seconds=5.0),
        msgspec.structs.replace(given, **(rules or {})),
        msgspec.structs.replace(
            UpstreamDependencies(
                find_target=_target,
                held=(held or Held()).among,
                taken=(held or Held()).among,
                document_of=lambda version: known.get(version, b""),
                answered=Answers(),
                chance=lambda: 0.5,
            ),
            **(dependencies or {}),
        ),
        clock=clock or SystemClock(),
    )
    try:
        yield provider
    finally:
        await provider.close()


def _target(version: str) -> UpstreamTarget | None:
    return UpstreamTarget(model=f"test/{version}") if version in VERSIONS else None

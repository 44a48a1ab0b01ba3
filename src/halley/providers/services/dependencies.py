"""The functions and objects of this server that a provider for a service depends on."""

from collections.abc import Callable, Sequence

import msgspec

from halley.assets.own_inputs import OwnInputs
from halley.dispatch.ports import Work
from halley.dispatch.upstream_hooks import ProviderHooks
from halley.dispatch.upstreams import Answered, FindTarget, HeldHandles, UpstreamTarget
from halley.errors import ProviderBusy, SubmitRefused
from halley.providers.services.stream_sources import StreamClient


async def _none(handles: Sequence[str]) -> frozenset[str]:
    del handles
    return frozenset()


class UpstreamDependencies(msgspec.Struct, frozen=True, kw_only=True):
    """What the server gives to each of these providers."""

    name: str | None = None  # of the provider, for messages
    find_target: FindTarget
    held: HeldHandles  # by predictions of any provider: this one may have had another name
    document_of: Callable[[str], bytes]  # the OpenAPI document of a version, b"" if it has none
    answered: Answered
    chance: Callable[[], float]  # a random number from 0 to 1
    own_inputs: OwnInputs | None = None  # reads this server's own files in inputs
    taken: HeldHandles = _none  # by predictions of this provider: no other prediction may get such a run
    hooks: ProviderHooks | None = None  # addresses for its webhooks, if it can reach this server
    public_url: str | None = None  # of this server, without a slash at its end
    streams: StreamClient | None = None  # reads event streams at hosts that are not the service's own

    def passes(self, version: str) -> bool:
        """Whether outputs of the version keep the links of the service, by its route as it is now."""
        target = self.find_target(version)
        return target is not None and target.passes_links


def target_of(find: FindTarget, version: str, *, may_be_former: bool = False) -> UpstreamTarget:
    """The model and version at the service. `may_be_former`: nothing is begun, so a removed route is enough.

    Raises:
        SubmitRefused: no route leads from this version to the service.
    """
    target = find(version)
    if target is None or (target.is_former and not may_be_former):
        raise SubmitRefused(f"There is no route for the version {version}.", was_asked=False)
    return target


def check_lease(work: Work) -> None:
    """Raises:
    ProviderBusy: another worker may have the lease by now, and would send the work again.
    """
    if not work.may_send():
        raise ProviderBusy("Its lease could not be renewed in time, so it is not sent.", was_asked=False)

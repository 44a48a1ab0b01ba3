"""Makes the provider of each kind of service elsewhere; a kind's modules are imported only when it is configured."""

from typing import TYPE_CHECKING

from halley.clock import Clock
from halley.dispatch.upstreams import UpstreamProvider
from halley.settings import CogSettings, ProviderSettings, ReplicateSettings

if TYPE_CHECKING:
    from halley.providers.services.links import UpstreamLinks


def make_upstream(
    settings: ProviderSettings, token: str | None, links: "UpstreamLinks", clock: Clock
) -> UpstreamProvider:
    """The provider that these settings describe. No service is asked."""
    if isinstance(settings, ReplicateSettings):
        from halley.app.upstream_kinds.replicate import make_replicate

        return make_replicate(settings, token, links, clock)
    if isinstance(settings, CogSettings):
        from halley.app.upstream_kinds.cog import make_cog

        return make_cog(settings, token, links, clock)
    raise AssertionError(settings.kind)

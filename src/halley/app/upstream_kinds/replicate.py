"""Makes the provider for a service that speaks the Replicate HTTP API."""

from halley.clock import Clock
from halley.egress import OriginClient
from halley.providers.replicate.profiles import PROFILES
from halley.providers.replicate.provider import ReplicateProvider, UpstreamRules
from halley.providers.services.dependencies import UpstreamDependencies
from halley.settings import ReplicateSettings


def make_replicate(
    settings: ReplicateSettings, token: str | None, dependencies: UpstreamDependencies, clock: Clock
) -> ReplicateProvider:
    """See `make_upstream`."""
    return ReplicateProvider(
        OriginClient(settings.url, silence_seconds=settings.timeout_seconds),
        UpstreamRules(
            token=token,
            profile=PROFILES[settings.profile],
            max_in_flight=settings.max_in_flight,
            timeout_seconds=settings.timeout_seconds,
            look_seconds=settings.look_seconds,
            data_url_bytes=settings.data_url_bytes,
            input_links=settings.input_links,
        ),
        dependencies,
        clock=clock,
    )

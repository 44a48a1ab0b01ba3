"""Makes the provider for Cog HTTP servers."""

from halley.clock import Clock
from halley.egress import OriginClient
from halley.providers.cog.exchange import ExchangeRules
from halley.providers.cog.provider import CogProvider, CogRules
from halley.providers.cog.server import ASK_SECONDS
from halley.providers.services.dependencies import UpstreamDependencies
from halley.settings import CogSettings


def make_cog(settings: CogSettings, token: str | None, dependencies: UpstreamDependencies, clock: Clock) -> CogProvider:
    """See `make_upstream`."""
    return CogProvider(
        [OriginClient(url, silence_seconds=settings.timeout_seconds) for _, url in settings.addresses()],
        CogRules(
            token=token,
            concurrency=settings.concurrency,
            max_in_flight=settings.max_in_flight,
            data_url_bytes=settings.data_url_bytes,
            input_links=settings.input_links,
            ask_seconds=min(settings.timeout_seconds, ASK_SECONDS),
            exchange=ExchangeRules(rerun_lost=settings.rerun_lost),
        ),
        dependencies,
        clock=clock,
    )

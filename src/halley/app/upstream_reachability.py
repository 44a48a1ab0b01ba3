"""Whether services elsewhere can reach this server, at `server.public_url`."""

from urllib.parse import urlsplit

from halley.api.http.origins import tidy
from halley.app.webhooks import is_loopback
from halley.errors import Unusable
from halley.settings import ProviderSettings, Settings


def public_url(settings: Settings) -> str | None:
    """The URL at which services reach this server, without a slash at its end; None if it is not set."""
    url = settings.server.public_url
    return None if url is None else tidy(url)


def sends_webhooks(settings: Settings, provider: ProviderSettings) -> bool:
    """Whether the service is asked to send webhooks."""
    wanted = provider.takes_webhooks()
    return settings.server.public_url is not None and (is_reachable(settings, provider) if wanted is None else wanted)


def is_reachable(settings: Settings, provider: ProviderSettings) -> bool:
    """Whether the service can be expected to reach this server: by https, or because both are on this machine.

    A public name may still be one of a network that the service cannot enter.
    """
    if settings.server.public_url is None:
        return False
    public = urlsplit(settings.server.public_url)
    if is_loopback(public.hostname or ""):
        return all(is_loopback(urlsplit(url).hostname or "") for _, url in provider.addresses())
    return public.scheme == "https"


def link_base(settings: Settings, provider: ProviderSettings) -> str | None:
    """The beginning of links to our files that the service can follow; None if it cannot.

    A service on this machine may send webhooks here, and still refuse to fetch inputs from it, as Halley does.
    """
    url = settings.server.public_url
    if url is None or (provider.takes_input_links() is None and is_loopback(urlsplit(url).hostname or "")):
        return None
    return public_url(settings)


def check_reach(settings: Settings) -> None:
    """Check what needs a public URL.

    Raises:
        Unusable: there is none.
    """
    if settings.server.public_url is not None:
        return
    for name, provider in settings.providers.items():
        for member in provider.needs_public_url():
            raise Unusable(f"providers.{name}.{member} needs server.public_url: where the service reaches this server.")

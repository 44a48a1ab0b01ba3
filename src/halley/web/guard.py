"""Who may reach the dashboard at all: the one place of its checks of host, origin, frames and form tokens.

The cookie already stays away from requests of other sites (SameSite=Strict). These checks do not rely on it.

- Host: a page of another site whose name resolves to this server (DNS rebinding) has another host.
- Origin and Sec-Fetch-Site: a form of another site has another origin. Browsers send it with each POST.
- Sec-Fetch-Dest: no page is shown inside another one.
- Form token: derived from the cookie, which scripts cannot read.
"""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from halley.api.http.asgi import Call
from halley.api.http.origins import Variants
from halley.errors import Forbidden
from halley.settings import Settings
from halley.web.cookies import Site

_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(:\d{1,5})?", re.ASCII)
_PORT: Final = re.compile(r":(\d+)$", re.ASCII)
_NO_WORD: Final = re.compile(r"[^0-9A-Za-z]+")
_FRAMES: Final = frozenset({b"iframe", b"frame", b"embed", b"object", b"fencedframe"})
_SAME: Final = frozenset({b"same-origin", b"none"})
TOKEN_HEADER: Final = b"x-csrf-token"
TOKEN_FIELD: Final = "csrf"  # noqa: S105 - its name


class Guard:
    """Checks requests for pages, by the settings of the server."""

    def __init__(self, settings: Settings) -> None:
        server = settings.server
        self._variants = Variants(settings)
        self._hosts = frozenset(host.lower() for host in (*server.allowed_hosts, server.host))
        self._public = urlsplit(server.public_url) if server.public_url else None

    def check_page(self, call: Call) -> None:
        """Check a request that only reads.

        Raises:
            Forbidden: the host is not ours, or the page would be shown inside another one.
        """
        if self.origin(call) is None:
            raise Forbidden(
                "The dashboard is not served under this host name. Add it to server.allowed_hosts, or set "
                "server.public_url."
            )
        if call.headers.get(b"sec-fetch-dest") in _FRAMES:
            raise Forbidden("The dashboard is not shown inside other pages.")

    def check_origin(self, call: Call) -> None:
        """Check a request that changes something; its form token is checked elsewhere.

        Raises:
            Forbidden: as `check_page`; or it comes from a page of another site.
        """
        self.check_page(call)
        sent = call.headers.get(b"origin")
        site = call.headers.get(b"sec-fetch-site", b"same-origin")
        if site not in _SAME or (sent is not None and sent.decode("latin-1").lower() != self.origin(call)):
            raise Forbidden("This form came from a page of another site. Nothing was changed.")

    def origin(self, call: Call) -> str | None:
        """The origin at which the browser sees us; None if its host is not ours."""
        host = call.headers.get(b"host", b"").decode("latin-1").strip().lower()
        scheme = str(call.scope["scheme"])
        if self._is_proxied(call):
            forwarded = _last(call, b"x-forwarded-host").lower()
            proto = _last(call, b"x-forwarded-proto").lower()
            scheme = proto if proto in ("http", "https") else scheme
            if _AUTHORITY.fullmatch(forwarded):
                return f"{scheme}://{forwarded}"
        if self._public is not None and host == self._public.netloc.lower():
            return f"{self._public.scheme}://{host}"
        return f"{scheme}://{host}" if self._is_ours(host) else None

    def site(self, call: Call) -> Site:
        """How the browser reaches us: whether over TLS, and at which port and path."""
        origin = self.origin(call) or ""
        port = _PORT.search(origin)
        mark = f"{port[1] if port else ''}{call.variant.prefix}"
        return Site(origin.startswith("https:"), _NO_WORD.sub("_", mark).strip("_"))

    def _is_proxied(self, call: Call) -> bool:
        client = call.scope.get("client")
        return client is not None and self._variants.is_proxy((str(client[0]), client[1]))

    def _is_ours(self, host: str) -> bool:
        match = _AUTHORITY.fullmatch(host)
        if match is None:
            return False
        name = match[1]
        if host in self._hosts or name in self._hosts or name == "localhost" or name.endswith(".localhost"):
            return True
        return _is_address(name.strip("[]"))


def _is_address(name: str) -> bool:
    # a name is needed to rebind it: an address is always meant
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _last(call: Call, name: bytes) -> str:
    return call.headers.get(name, b"").decode("latin-1").rpartition(",")[2].strip()

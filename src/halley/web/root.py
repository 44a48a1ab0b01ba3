"""The page at `/`: browsers are redirected to the dashboard, programs get a list of addresses."""

import msgspec

from halley import __version__
from halley.api.http.asgi import JSON, Call, Response
from halley.web.dashboard import Dashboard
from halley.web.rows import OpenPage, Row


class RootPage:
    """The page at `/`."""

    def rows(self) -> tuple[Row, ...]:
        """Its row."""
        return (OpenPage(name="root", pattern="", serve=self.show),)

    async def show(self, call: Call) -> Response:
        """Redirect browsers to the dashboard; answer programs with JSON."""
        variant = call.variant
        if "text/html" in call.joined(b"accept"):
            return Dashboard.redirect(f"{variant.prefix}/ui")
        places = {
            "name": "halley",
            "version": __version__,
            "api": variant.base,
            "openapi": f"{variant.base}/openapi.json",
            "dashboard": f"{variant.origin}/ui",
            "ready": f"{variant.origin}/readyz",
        }
        return Response(headers=[JSON], body=msgspec.json.encode(places))

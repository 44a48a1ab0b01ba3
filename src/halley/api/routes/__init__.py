"""The one table of all routes. Router, 405 answers, OpenAPI document and the account matrix are made from it.

Each module has the rows of one subject; the order here is the order in the OpenAPI document.
"""

from typing import Final

from msgspec.structs import replace

from halley.api.http.routing import Route
from halley.api.resources import delivery
from halley.api.routes import (
    accounts,
    bulk,
    files,
    finding,
    links,
    models,
    operation,
    overview,
    predictions,
    public,
    reruns,
    webhooks,
)
from halley.keys.records import Scope
from halley.settings import Settings

ROUTES: Final[tuple[Route, ...]] = (
    *predictions.ROUTES,
    *reruns.ROUTES,
    *overview.ROUTES,
    *bulk.ROUTES,
    *models.ROUTES,
    *finding.ROUTES,
    *operation.ROUTES,
    *files.ROUTES,
    *webhooks.ROUTES,
    *accounts.ROUTES,
    *links.ROUTES,
    *public.ROUTES,
)


def routes_of(settings: Settings) -> tuple[Route, ...]:
    """The table as the settings change it: links to output files can be made to need a key (contract section 17)."""
    if not settings.quirks.output_links_need_key:
        return ROUTES
    return tuple(
        replace(route, scope=Scope.READ) if route.handler is delivery.output_file else route for route in ROUTES
    )

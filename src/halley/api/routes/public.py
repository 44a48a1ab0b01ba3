"""Routes without a key: the API description, and whether the server works."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.health import HealthBody
from halley.api.resources import health, openapi

ROUTES: Final = (
    Route(
        name="openapi",
        method="GET",
        pattern="/openapi.json",
        handler=openapi.get,
        rate="open",
        response="application/json",
        summary="This description",
    ),
    Route(
        name="healthz",
        method="GET",
        pattern="/healthz",
        handler=health.live,
        rate="open",
        response=HealthBody,
        summary="Whether the process is running",
        at_root=True,
    ),
    Route(
        name="readyz",
        method="GET",
        pattern="/readyz",
        handler=health.ready,
        rate="open",
        response=HealthBody,
        success=(200, 503),
        summary="Whether predictions can be made",
        params=(Param(name="verbose", description="The result of each check, and the cleanup work that failed."),),
        at_root=True,
    ),
)

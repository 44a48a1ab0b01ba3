"""Routes: what an operator asks: model processes, services elsewhere, counters."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.health import Counts
from halley.api.presentation.wire.replicas import ClearedSetup, LogPage, ReplicaPage
from halley.api.presentation.wire.settings import SettingsBody
from halley.api.presentation.wire.upstreams import (
    AdoptRun,
    RoutePage,
    RouteTest,
    SettlementBody,
    UnknownPage,
    UpstreamPage,
)
from halley.api.resources import health, replicas, settings, upstreams
from halley.keys.records import Scope

ROUTES: Final = (
    Route(
        name="replicas.list",
        method="GET",
        pattern="/replicas",
        handler=replicas.list_replicas,
        scope=Scope.ADMIN,
        response=ReplicaPage,
        summary="List model processes: state, memory, device, slots",
    ),
    Route(
        name="replicas.logs",
        method="GET",
        pattern="/replicas/{model_owner}/{model_name}/logs",
        handler=replicas.read_log,
        scope=Scope.ADMIN,
        response=LogPage,
        summary="Read what a model's processes printed outside of predictions, the oldest line first",
        params=(
            Param(name="after", type="integer", description="Only lines with higher numbers."),
            Param(name="last", type="integer", description="Only so many, the last ones."),
        ),
    ),
    Route(
        name="replicas.clear_setup",
        method="DELETE",
        pattern="/replicas/{model_owner}/{model_name}/setup",
        handler=replicas.clear_setup,
        scope=Scope.ADMIN,
        rate="write",
        response=ClearedSetup,
        summary="Delete the files that a model's setup left for its next processes",
    ),
    Route(
        name="upstreams.list",
        method="GET",
        pattern="/upstreams",
        handler=upstreams.list_upstreams,
        scope=Scope.ADMIN,
        response=UpstreamPage,
        summary="List services elsewhere that run predictions: state, runs, unknown outcomes, last errors",
    ),
    Route(
        name="upstreams.unknown",
        method="GET",
        pattern="/upstreams/unknown",
        handler=upstreams.list_unknown,
        scope=Scope.ADMIN,
        response=UnknownPage,
        summary="List predictions of which it is not known whether they ran at a service elsewhere, the newest first",
        params=(
            Param(name="limit", type="integer", description="How many at most."),
            Param(name="all", description="`1` adds those that another prediction continues."),
        ),
    ),
    Route(
        name="upstreams.unknown.adopt",
        method="POST",
        pattern="/upstreams/unknown/{prediction_id}/adopt",
        handler=upstreams.adopt_unknown,
        scope=Scope.ADMIN,
        rate="write",
        body="json",
        request=AdoptRun,
        response=SettlementBody,
        success=(201, 200),
        summary="Follow a run of the service as a prediction that continues the unknown one; nothing is submitted",
    ),
    Route(
        name="upstreams.unknown.retry",
        method="POST",
        pattern="/upstreams/unknown/{prediction_id}/retry",
        handler=upstreams.retry_unknown,
        scope=Scope.ADMIN,
        rate="write",
        response=SettlementBody,
        success=(201, 200),
        summary="Submit an unknown prediction again, as one that continues it; it may be paid for twice",
    ),
    Route(
        name="routes.list",
        method="GET",
        pattern="/routes",
        handler=upstreams.list_routes,
        scope=Scope.ADMIN,
        response=RoutePage,
        summary="List the routes of models to providers, in the order in which they are tried",
    ),
    Route(
        name="routes.test",
        method="GET",
        pattern="/routes/{model_owner}/{model_name}",
        handler=upstreams.test_route,
        scope=Scope.ADMIN,
        response=RouteTest,
        summary="Get which provider would take the next run of a model, and why",
    ),
    Route(
        name="counts.get",
        method="GET",
        pattern="/counts",
        handler=health.counts,
        scope=Scope.ADMIN,
        response=Counts,
        summary="Get the counters of this server since its start",
    ),
    Route(
        name="settings.get",
        method="GET",
        pattern="/settings",
        handler=settings.get_settings,
        scope=Scope.ADMIN,
        response=SettingsBody,
        summary="Get the settings that this server uses, with their origins, its version and its health",
    ),
)

"""Routes: what an operator asks: model processes and counters."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.health import Counts
from halley.api.presentation.wire.replicas import ClearedSetup, LogPage, ReplicaPage
from halley.api.resources import health, replicas
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
        params=(Param(name="after", type="integer", description="Only lines with higher numbers."),),
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
        name="counts.get",
        method="GET",
        pattern="/counts",
        handler=health.counts,
        scope=Scope.ADMIN,
        response=Counts,
        summary="Get the counters of this server since its start",
    ),
)

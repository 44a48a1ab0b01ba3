"""Routes: models and their versions."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.models import ModelBody, ModelPage, VersionBody, VersionPage
from halley.api.resources import finding, models
from halley.api.routes.paging import PAGE
from halley.keys.records import Scope

ROUTES: Final = (
    Route(
        name="models.list",
        method="GET",
        pattern="/models",
        handler=models.list_models,
        scope=Scope.READ,
        response=ModelPage,
        summary="List models",
        params=(
            *PAGE,
            Param(
                name="sort_by",
                description="`latest_version_created_at` if absent.",
                values=("latest_version_created_at", "model_created_at"),
            ),
            Param(name="sort_direction", description="`desc` if absent.", values=("desc", "asc")),
        ),
    ),
    Route(
        name="models.search",
        method="QUERY",
        pattern="/models",
        handler=finding.query_models,
        scope=Scope.READ,
        body="text",
        response=ModelPage,
        summary="Search models by words in the body, best matches first",
    ),
    Route(
        name="models.get",
        method="GET",
        pattern="/models/{model_owner}/{model_name}",
        handler=models.get_model,
        scope=Scope.READ,
        response=ModelBody,
        summary="Get a model",
    ),
    Route(
        name="models.versions.list",
        method="GET",
        pattern="/models/{model_owner}/{model_name}/versions",
        handler=models.list_versions,
        scope=Scope.READ,
        response=VersionPage,
        summary="List a model's versions, newest first",
        params=PAGE,
    ),
    Route(
        name="models.versions.get",
        method="GET",
        pattern="/models/{model_owner}/{model_name}/versions/{version_id}",
        handler=models.get_version,
        scope=Scope.READ,
        response=VersionBody,
        summary="Get a model's version",
    ),
)

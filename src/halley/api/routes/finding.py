"""Routes: collections, search, and lists that are always empty here."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.finding import CollectionPage, EmptyPage, FullCollection, SearchResult
from halley.api.resources import finding
from halley.keys.records import Scope

ROUTES: Final = (
    Route(
        name="models.examples.list",
        method="GET",
        pattern="/models/{model_owner}/{model_name}/examples",
        handler=finding.model_examples,
        scope=Scope.READ,
        response=EmptyPage,
        summary="List examples of a model: there are none",
    ),
    Route(
        name="collections.list",
        method="GET",
        pattern="/collections",
        handler=finding.list_collections,
        scope=Scope.READ,
        response=CollectionPage,
        summary="List the collections of models in the configuration",
    ),
    Route(
        name="collections.get",
        method="GET",
        pattern="/collections/{collection_slug}",
        handler=finding.get_collection,
        scope=Scope.READ,
        response=FullCollection,
        summary="Get a collection with its models",
    ),
    Route(
        name="search",
        method="GET",
        pattern="/search",
        handler=finding.search,
        scope=Scope.READ,
        response=SearchResult,
        summary="Search models and collections by words, best matches first",
        params=(
            Param(name="query", description="The search words. Required."),
            Param(
                name="limit", type="integer", description="Maximum number of models, limited to 1 to 50; 20 if absent."
            ),
        ),
    ),
    Route(
        name="trainings.list",
        method="GET",
        pattern="/trainings",
        handler=finding.empty_page,
        scope=Scope.READ,
        response=EmptyPage,
        summary="List trainings: there are none",
    ),
    Route(
        name="deployments.list",
        method="GET",
        pattern="/deployments",
        handler=finding.empty_page,
        scope=Scope.READ,
        response=EmptyPage,
        summary="List deployments: there are none",
    ),
)

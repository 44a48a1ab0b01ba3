"""The one table of all routes. Router, 405 answers, OpenAPI document and the account matrix are made from it."""

from typing import Final

from msgspec.structs import replace

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.accounts import AccountBody, ChangeKey, CreateKey, Hardware, KeyBody, KeyPage, NewKey
from halley.api.presentation.wire.events import EventPage
from halley.api.presentation.wire.files import FileBody, FilePage
from halley.api.presentation.wire.finding import CollectionPage, EmptyPage, FullCollection, SearchResult
from halley.api.presentation.wire.health import Counts, HealthBody
from halley.api.presentation.wire.models import ModelBody, ModelPage, VersionBody, VersionPage
from halley.api.presentation.wire.predictions import (
    CreateModelPrediction,
    CreatePrediction,
    PredictionBody,
    PredictionPage,
)
from halley.api.presentation.wire.replicas import ClearedSetup, LogPage, ReplicaPage
from halley.api.presentation.wire.webhooks import (
    DeliveryBody,
    DeliveryPage,
    NewWebhookSecret,
    RotateWebhookSecret,
    WebhookCopies,
    WebhookMessage,
    WebhookSecret,
)
from halley.api.resources import (
    accounts,
    creates,
    delivery,
    events,
    files,
    finding,
    health,
    models,
    openapi,
    pages,
    predictions,
    replicas,
    webhooks,
)
from halley.api.waiting import sse
from halley.keys.records import Scope
from halley.settings import Settings

_LIMIT: Final = Param(
    name="limit", type="integer", description="Items per page, limited to 1 to 100; for events to 1000."
)
_CURSOR: Final = Param(name="cursor", description="From `next` or `previous` of a list.")
_PAGE: Final = (_CURSOR, _LIMIT)
_STREAM: Final = (
    Param(name="logs", description="`1` adds the logs."),
    Param(name="Last-Event-ID", place="header", description="Continue after this event."),
)
_LOG: Final = (
    Param(name="after", type="integer", description="Only events after this `seq`."),
    _LIMIT,
    Param(name="follow", description="`0` ends the stream after the recorded events."),
    Param(name="Last-Event-ID", place="header", description="Continue after this event."),
)
_PREFER: Final = Param(
    name="Prefer",
    place="header",
    description="`wait` or `wait=n`: delay the answer until the prediction ends, at most n seconds.",
)
_PREFER_CREATE: Final = Param(
    name="Prefer",
    place="header",
    description=(
        "`wait` or `wait=n`: delay the answer until the prediction ends, at most n seconds. "
        "`cancel-abandoned`: cancel it when all clients that wait for it have disconnected."
    ),
)
_CANCEL_AFTER: Final = Param(
    name="Cancel-After",
    place="header",
    description="Deadline from creation, 5 s to 24 h: `90`, `5m`, `1h30m`.",
    pattern="^([0-9]{1,9}|([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?)$",
)
_IDEMPOTENCY_KEY: Final = Param(
    name="Idempotency-Key",
    place="header",
    description="Creates with the same key create one prediction.",
    pattern="^[!-~]{1,255}$",
)

_PREDICTIONS: Final = (
    Route(
        name="predictions.create",
        method="POST",
        pattern="/predictions",
        handler=creates.create,
        scope=Scope.WRITE,
        rate="create",
        body="json",
        request=CreatePrediction,
        response=PredictionBody,
        success=(201, 202),
        summary="Create a prediction",
        params=(_PREFER_CREATE, _CANCEL_AFTER, _IDEMPOTENCY_KEY),
    ),
    Route(
        name="predictions.list",
        method="GET",
        pattern="/predictions",
        handler=predictions.list_all,
        scope=Scope.READ,
        response=PredictionPage,
        summary="List predictions, newest first",
        params=(
            *_PAGE,
            Param(name="created_after", description="Inclusive; ISO 8601.", format="date-time"),
            Param(name="created_before", description="Exclusive; ISO 8601.", format="date-time"),
            Param(name="source", description="Only `web`; then the last 14 days.", values=("web",)),
            Param(name="include", description="`logs` adds the logs."),
        ),
    ),
    Route(
        name="predictions.get",
        method="GET",
        pattern="/predictions/{prediction_id}",
        handler=predictions.get,
        scope=Scope.READ,
        rate="poll",
        response=PredictionBody,
        summary="Get a prediction",
        params=(_PREFER,),
    ),
    Route(
        name="predictions.events",
        method="GET",
        pattern="/predictions/{prediction_id}/events",
        handler=events.events,
        scope=Scope.READ,
        response=EventPage,
        streams=True,
        success=(200, 204),
        summary="Read or follow the log of a prediction",
        params=_LOG,
    ),
    Route(
        name="predictions.cancel",
        method="POST",
        pattern="/predictions/{prediction_id}/cancel",
        handler=predictions.cancel,
        scope=Scope.WRITE,
        rate="write",
        response=PredictionBody,
        summary="Cancel a prediction",
    ),
    Route(
        name="predictions.data.delete",
        method="DELETE",
        pattern="/predictions/{prediction_id}/data",
        handler=predictions.delete_data,
        scope=Scope.WRITE,
        rate="write",
        success=(204,),
        summary="Remove input, output, files and logs of a finished prediction immediately",
    ),
    Route(
        name="models.predictions.create",
        method="POST",
        pattern="/models/{model_owner}/{model_name}/predictions",
        handler=creates.create_for_model,
        scope=Scope.WRITE,
        rate="create",
        body="json",
        request=CreateModelPrediction,
        response=PredictionBody,
        success=(201, 202),
        summary="Create a prediction of a model's latest version",
        params=(_PREFER_CREATE, _CANCEL_AFTER, _IDEMPOTENCY_KEY),
    ),
)

_MODELS: Final = (
    Route(
        name="models.list",
        method="GET",
        pattern="/models",
        handler=models.list_models,
        scope=Scope.READ,
        response=ModelPage,
        summary="List models",
        params=(
            *_PAGE,
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
        params=_PAGE,
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

_FINDING: Final = (
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

_ACCOUNT: Final = (
    Route(
        name="account.get",
        method="GET",
        pattern="/account",
        handler=accounts.get_account,
        scope=Scope.READ,
        response=AccountBody,
        summary="Get the account of the key",
    ),
    Route(
        name="hardware.list",
        method="GET",
        pattern="/hardware",
        handler=accounts.list_hardware,
        scope=Scope.READ,
        response=list[Hardware],
        summary="List kinds of hardware",
    ),
    Route(
        name="keys.list",
        method="GET",
        pattern="/keys",
        handler=accounts.list_keys,
        scope=Scope.ADMIN,
        response=KeyPage,
        summary="List all API keys",
    ),
    Route(
        name="keys.create",
        method="POST",
        pattern="/keys",
        handler=accounts.create_key,
        scope=Scope.ADMIN,
        rate="write",
        body="json",
        request=CreateKey,
        response=NewKey,
        success=(201,),
        summary="Create an API key; its token is shown only once",
    ),
    Route(
        name="keys.change",
        method="PATCH",
        pattern="/keys/{key_id}",
        handler=accounts.change_key,
        scope=Scope.ADMIN,
        rate="write",
        body="json",
        request=ChangeKey,
        response=KeyBody,
        summary="Change options of an API key",
    ),
    Route(
        name="keys.delete",
        method="DELETE",
        pattern="/keys/{key_id}",
        handler=accounts.delete_key,
        scope=Scope.ADMIN,
        rate="write",
        success=(204,),
        summary="Revoke an API key",
    ),
)

_OPERATION: Final = (
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

_FILES: Final = (
    Route(
        name="files.create",
        method="POST",
        pattern="/files",
        handler=files.create,
        scope=Scope.WRITE,
        rate="write",
        body="multipart",
        response=FileBody,
        success=(201,),
        summary="Upload a file",
    ),
    Route(
        name="files.list",
        method="GET",
        pattern="/files",
        handler=files.list_all,
        scope=Scope.READ,
        response=FilePage,
        summary="List uploaded files, newest first",
        params=_PAGE,
    ),
    Route(
        name="files.get",
        method="GET",
        pattern="/files/{file_id}",
        handler=files.get,
        scope=Scope.READ,
        response=FileBody,
        summary="Get the record of an uploaded file",
    ),
    Route(
        name="files.delete",
        method="DELETE",
        pattern="/files/{file_id}",
        handler=files.delete,
        scope=Scope.WRITE,
        rate="write",
        success=(204,),
        summary="Delete an uploaded file",
    ),
    Route(
        name="files.download",
        method="GET",
        pattern="/files/{file_id}/download",
        handler=delivery.download,
        rate="open",
        response="application/octet-stream",
        success=(200, 206),
        summary="Download an uploaded file by a signed link",
        params=(
            Param(name="expiry", type="integer", description="Unix seconds."),
            Param(name="owner", description="The account's name."),
            Param(name="signature", description="Base64 of HMAC-SHA256 over `owner id expiry`."),
        ),
        is_shared=True,
    ),
)

_WEBHOOKS: Final = (
    Route(
        name="webhooks.default.secret.get",
        method="GET",
        pattern="/webhooks/default/secret",
        handler=webhooks.get_secret,
        scope=Scope.WRITE,  # its holder can forge messages: more than reading
        response=WebhookSecret,
        summary="Get the secret that webhooks are signed with",
    ),
    Route(
        name="webhooks.default.secret.rotate",
        method="POST",
        pattern="/webhooks/default/secret/rotate",
        handler=webhooks.rotate_secret,
        scope=Scope.WRITE,
        rate="write",
        body="json",
        request=RotateWebhookSecret,
        response=NewWebhookSecret,
        summary="Replace the secret; for some time both secrets sign",
    ),
    Route(
        name="webhooks.deliveries.list",
        method="GET",
        pattern="/webhooks/deliveries",
        handler=webhooks.list_deliveries,
        scope=Scope.READ,
        response=DeliveryPage,
        summary="List attempts to deliver webhooks, newest first",
        params=(*_PAGE, Param(name="prediction", description="Only those about this prediction.")),
    ),
    Route(
        name="webhooks.deliveries.get",
        method="GET",
        pattern="/webhooks/deliveries/{delivery_id}",
        handler=webhooks.get_delivery,
        scope=Scope.READ,
        response=DeliveryBody,
        summary="Get one attempt, with the request that was sent",
    ),
    Route(
        name="webhooks.deliveries.resend",
        method="POST",
        pattern="/webhooks/deliveries/{delivery_id}/resend",
        handler=webhooks.resend,
        scope=Scope.WRITE,
        rate="write",
        response=WebhookMessage,
        success=(202,),
        summary="Send the message of a delivery again",
    ),
    Route(
        name="webhooks.listen",
        method="GET",
        pattern="/webhooks/listen",
        handler=webhooks.listen,
        scope=Scope.READ,
        response=WebhookCopies,
        streams=True,
        summary="Follow the webhook messages of the account as a stream, also those of predictions without a webhook",
        params=(
            Param(name="events", description="Some of `start`, `output`, `logs`, `completed`, with commas between."),
            Param(name="since", description="Start with predictions created at this time; without it, start now."),
            Param(name="key", description="Only predictions of the requesting key.", values=("own",)),
            Param(name="after", type="integer", description="Only messages after this position."),
            Param(name="Last-Event-ID", place="header", description="Continue after this event."),
        ),
    ),
)

_LINKS: Final = (
    Route(
        name="streams.get",
        method="GET",
        pattern="/streams/{capability}",
        handler=sse.stream,
        rate="open",
        response="text/event-stream",
        summary="Follow a prediction as server-sent events",
        params=_STREAM,
        is_secret=True,
        is_shared=True,
    ),
    Route(
        name="streams.files.get",
        method="GET",
        pattern="/files/stream-{capability}",
        handler=sse.stream,
        rate="open",
        response="text/event-stream",
        summary="Follow a prediction whose output is files",
        params=_STREAM,
        is_secret=True,
        is_shared=True,
    ),
    Route(
        name="delivery.get",
        method="GET",
        pattern="/d/{capability}/{file_name}",
        handler=delivery.output_file,
        rate="open",
        response="application/octet-stream",
        success=(200, 206),
        summary="Get an output file",
        at_root=True,
        is_secret=True,
        is_shared=True,
    ),
    Route(
        name="pages.prediction",
        method="GET",
        pattern="/p/{prediction_id}",
        handler=pages.prediction,
        rate="open",
        response="text/html",
        summary="The web page of a prediction",
        params=(Param(name="t", description="The capability in `urls.web`."),),
        at_root=True,
    ),
)

_OPEN: Final = (
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

ROUTES: Final[tuple[Route, ...]] = (
    *_PREDICTIONS,
    *_MODELS,
    *_FINDING,
    *_OPERATION,
    *_FILES,
    *_WEBHOOKS,
    *_ACCOUNT,
    *_LINKS,
    *_OPEN,
)


def routes_of(settings: Settings) -> tuple[Route, ...]:
    """The table as the settings change it: links to output files can be made to need a key (contract section 17)."""
    if not settings.quirks.output_links_need_key:
        return ROUTES
    return tuple(
        replace(route, scope=Scope.READ) if route.handler is delivery.output_file else route for route in ROUTES
    )

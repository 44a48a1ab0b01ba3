"""Routes: predictions."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.events import EventPage
from halley.api.presentation.wire.files import OutputFilePage
from halley.api.presentation.wire.predictions import (
    CreateModelPrediction,
    CreatePrediction,
    PredictionBody,
    PredictionPage,
)
from halley.api.resources import creates, events, output_files, predictions
from halley.api.routes.overview import PREDICTION_FILTERS, STATUS
from halley.api.routes.paging import LIMIT, PAGE
from halley.keys.records import Scope

_LOG: Final = (
    Param(name="after", type="integer", description="Only events after this `seq`."),
    LIMIT,
    Param(name="follow", description="`0` ends the stream after the recorded events."),
    Param(
        name="only",
        description="Of pages: only its steps, without output, logs, progress and metrics.",
        values=("history",),
    ),
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

ROUTES: Final = (
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
            *PAGE,
            Param(name="created_after", description="Inclusive; ISO 8601.", format="date-time"),
            Param(name="created_before", description="Exclusive; ISO 8601.", format="date-time"),
            Param(name="source", description="Only `web`; then the last 14 days.", values=("web",)),
            STATUS,
            *PREDICTION_FILTERS,
            Param(name="include", description="`logs` adds the logs, `tags` the tags."),
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
        name="predictions.files.list",
        method="GET",
        pattern="/predictions/{prediction_id}/files",
        handler=output_files.list_all,
        scope=Scope.READ,
        response=OutputFilePage,
        summary="List the files of a prediction's output, in its order",
        params=(Param(name="after", type="integer", description="How many files to leave out."), LIMIT),
    ),
    Route(
        name="predictions.files.get",
        method="GET",
        pattern="/predictions/{prediction_id}/files/{file_index}",
        handler=output_files.get,
        scope=Scope.READ,
        response="application/octet-stream",
        success=(200, 206),
        summary="Get a file of the output, with a key instead of a link",
        params=(Param(name="embed", description="A copy of a picture that carries the input.", values=("input",)),),
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

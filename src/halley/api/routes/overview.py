"""Routes: questions about many predictions."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.overview import ErrorReportBody, SummaryBody, TagsBody
from halley.api.resources import overview
from halley.keys.records import Scope
from halley.predictions.status import Status

MODEL: Final = Param(name="model", description="`owner/name`, or a pattern in which `*` is any text.")
STATUS: Final = Param(name="status", description=f"One or more of {', '.join(Status)}, with commas between.")
PREDICTION_FILTERS: Final = (
    MODEL,
    Param(name="key", description="The id of a key: only what was created with it."),
    Param(name="provider", description="`local`, or the name of a service elsewhere."),
    Param(name="error", description="A part of the error, in small or capital letters."),
    Param(name="tag", description="Only predictions with this tag."),
    Param(name="group", description="The fingerprint of an error group."),
)

ROUTES: Final = (
    Route(
        name="predictions.summary",
        method="GET",
        pattern="/predictions/summary",
        handler=overview.summary,
        scope=Scope.READ,
        response=SummaryBody,
        summary="Get how many predictions wait and run, and how the newest ended and how long they took",
        params=(MODEL,),
    ),
    Route(
        name="predictions.tags",
        method="GET",
        pattern="/predictions/{prediction_id}/tags",
        handler=overview.tags,
        scope=Scope.READ,
        response=TagsBody,
        summary="Get the tags of a prediction",
    ),
    Route(
        name="errors.list",
        method="GET",
        pattern="/errors",
        handler=overview.errors,
        scope=Scope.READ,
        response=ErrorReportBody,
        summary="List errors of predictions in groups, the most frequent first",
        params=(
            Param(name="since", description="A time in the past, or a span such as `24h`, which it is without it."),
            *PREDICTION_FILTERS,
        ),
    ),
)

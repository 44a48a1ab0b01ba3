"""Routes: running a prediction again."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.predictions import PredictionBody
from halley.api.presentation.wire.reruns import RelatedPage, RerunPrediction
from halley.api.resources import reruns
from halley.keys.records import Scope

IDEMPOTENCY_KEY: Final = Param(
    name="Idempotency-Key",
    place="header",
    description="Requests with the same key create one prediction.",
    pattern="^[!-~]{1,255}$",
)

ROUTES: Final = (
    Route(
        name="predictions.rerun",
        method="POST",
        pattern="/predictions/{prediction_id}/rerun",
        handler=reruns.rerun,
        scope=Scope.WRITE,
        rate="create",
        body="json",
        request=RerunPrediction,
        response=PredictionBody,
        success=(201,),
        summary="Run a prediction again, with the same input or with changes; needs the scope `read` as well",
        params=(IDEMPOTENCY_KEY,),
    ),
    Route(
        name="predictions.related",
        method="GET",
        pattern="/predictions/{prediction_id}/related",
        handler=reruns.related,
        scope=Scope.READ,
        response=RelatedPage,
        summary="List what a prediction is linked to: what it runs again, its reruns, what settles an unknown outcome",
    ),
)

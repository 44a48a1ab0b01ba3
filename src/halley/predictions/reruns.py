"""Predictions that run an earlier one again, and everything else that is linked to a prediction."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from halley.predictions.ports import Created, NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.settlements import SettledHow

RELATED_LISTED: Final = 100

RelationKind = Literal["rerun_of", "rerun", "continues", "continued_by"]
"""What the other prediction is: the one that this one runs again; one that runs this one again; the one with an unknown
outcome that this one settles; the one that settles this one.
"""


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """Another prediction that a prediction is linked to, without its large values, and since when.

    `how` says how an unknown outcome was settled; it is None for reruns.
    """

    kind: RelationKind
    prediction: Prediction
    at: datetime
    how: SettledHow | None = None


class RerunStore(Protocol):
    """Links reruns to what they run again. In the same database as `PredictionStore`."""

    def rerun(self, new: NewPrediction, of: str) -> Awaitable[Created]:
        """As `PredictionStore.create`, and link the new prediction to the one that it runs again, in one transaction.

        A create that is `replayed` is not linked again. Raises as `create` does.
        """
        ...

    async def related(self, prediction_id: str, account_id: str, limit: int = RELATED_LISTED) -> list[Relation]:
        """What the prediction is linked to: what it runs again or settles, then its newest reruns and its settlement.

        At most `limit` reruns. Only predictions of the account; empty if the prediction itself is of another one.
        """
        ...

"""How a prediction with an unknown outcome is settled: another prediction continues it, and the two are linked.

Its own terminal status stays. A person adopts a run of the provider, or lets it be submitted again; or the provider
shows the run later.
"""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from halley.predictions.ports import NewPrediction
from halley.predictions.records import Prediction

COMPARED_BYTES: Final = 2**15
"""A longer input is not compared with the runs of a service."""

SettledHow = Literal["adopted", "retried", "found"]
"""A person named the run there; a person let it be submitted again; its provider showed the run later."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The prediction `linked_id` continues `prediction_id`, whose outcome was unknown."""

    prediction_id: str
    linked_id: str
    how: SettledHow
    at: datetime


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The data of LINKED. `is_first`: this is the prediction with the unknown outcome; else it continues that one."""

    how: SettledHow
    prediction: str  # the other one
    is_first: bool


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """`is_new` is False if it was settled before, perhaps in another way."""

    settlement: Settlement
    is_new: bool


class SettlementStore(Protocol):
    """Links predictions. In the same database as `PredictionStore` and `queue.SubmitLedger`."""

    def settle(self, prediction_id: str, new: NewPrediction, how: SettledHow) -> Awaitable[Settled]:
        """Create `new`, link it to the prediction, and record LINKED with both, in one transaction.

        At most one prediction is ever linked to another in this way: if there is one already, nothing is written. `new`
        is `submitted` with the handle of its run, or has no submit state. LINKED is an event that may follow the
        terminal one.

        Raises:
            NotFound: there is no such prediction.
            WrongState: it has not ended, or its outcome is not unknown; nothing was written.
            Conflict: the run of `new` is stored with another prediction than those that it continues.
            QueueFull, Overloaded, StorageFull: see `PredictionStore.create`.
        """
        ...

    async def settlements(self, prediction_ids: Sequence[str]) -> Mapping[str, Settlement]:
        """Those of these predictions that are settled, by id."""
        ...

    async def unclear(self, provider: str, ended_after: datetime, most: int) -> list[Prediction]:
        """Predictions of the provider without a clear answer: `intended`, or `unknown` and not settled.

        Without those that ended earlier, and without those that continue another because their run was `found`: a
        service that loses the same run repeatedly makes no chain. The oldest first, with inputs up to COMPARED_BYTES (a
        longer one is b""), without output and logs.
        """
        ...

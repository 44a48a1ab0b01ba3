"""Running a prediction again, and what predictions are linked to: an extension."""

from typing import Any, Literal

import msgspec

from halley.api.presentation.wire.values import StatusWord, Time, Url


class RerunPrediction(msgspec.Struct, kw_only=True):
    """A request to run a prediction again. The members of `input` replace those of the earlier input; a `null` leaves
    one out. All other inputs stay.
    """

    input: dict[str, Any] = {}


class RelatedPrediction(msgspec.Struct, kw_only=True):
    """Another prediction that this one is linked to. `relation` says what that one is: `rerun_of` was run again by this
    one, `rerun` runs this one again, `continues` has an unknown outcome that this one settles, `continued_by` settles
    this one's unknown outcome. `how` is set for the last two. `at` is when they were linked.
    """

    relation: Literal["rerun_of", "rerun", "continues", "continued_by"]
    how: Literal["adopted", "retried", "found"] | None
    at: Time
    id: str
    model: str
    status: StatusWord
    created_at: Time
    url: Url


class RelatedPage(msgspec.Struct, kw_only=True):
    """Earlier predictions first, then reruns, the newest first, at most 100."""

    results: list[RelatedPrediction]

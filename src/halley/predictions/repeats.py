"""Repeated creates: with an idempotency key, or recognised as repeats without one."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from halley.predictions.records import Prediction

EQUALS_LOOKED_AT: Final = 10_000  # limits the cost of one repeat: about 80 ms in its own thread

How = Literal["retry_counter", "dropped_connection"]
"""How a repeat was recognised: by the client's own count of its tries, or by the end of its last connection."""


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """Marks all creates with it as one. `digest` is that of the request."""

    key: str
    digest: bytes
    expires_at: datetime


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """The prediction of an idempotency key, and the digest of the request that created it."""

    prediction: Prediction
    digest: bytes


class RepeatStore(Protocol):
    """Finds earlier creates. In the same database as `PredictionStore`, which stores the keys.

    A key is valid at all API servers: a second create with it, at any of them, gets the same prediction. What
    `api.repeats` recognises without a key works within one API server only, because only that one knows its lost
    connections and unfinished answers. With several, a create that is repeated at another server makes a second
    prediction; or, if the client counts its tries, it may be answered with an equal prediction of the same API key
    whose answer is still being sent.
    """

    async def made_under(self, account_id: str, key: str, at: datetime) -> Earlier | None:
        """The prediction of this account and key; None if the key was never used, or has expired at `at`."""
        ...

    async def find_equal(self, wanted: Prediction, after: datetime, before: datetime) -> list[Prediction]:
        """Equal predictions of the same API key, newest first.

        Compared are: key, kind, version, deployment, source, the bytes of `input` (secrets as shown), webhook and
        filter, and the time from creation to deadline. Created within `after` and `before`, both included. What
        continues another prediction (`settlements`) or runs it again (`reruns`) is left out. Of an account with very
        many new predictions only the newest are compared (`EQUALS_LOOKED_AT`).
        """
        ...

    def note_repeat(self, prediction_id: str, at: datetime, how: How) -> Awaitable[Prediction | None]:
        """Count one more repeated create: row, revision and a REPEATED event. None if the prediction is absent.

        Besides DATA_REMOVED and LINKED, the only event that may follow the terminal one.
        """
        ...

    def forget_idempotency_keys(self, at: datetime, limit: int) -> Awaitable[int]:
        """Remove at most `limit` keys that have expired at `at`; returns their number.

        Called by the process with the duty to maintain, without its fence: any process may remove expired keys.
        """
        ...

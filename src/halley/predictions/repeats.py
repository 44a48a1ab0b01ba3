"""Creates that come more than once: under a key that says so, or as the repeats of clients that cannot say it."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from halley.predictions.records import Prediction

EQUALS_LOOKED_AT: Final = 10_000  # bounds what one repeat may cost: about 80 ms in a thread of its own

How = Literal["retry_counter", "dropped_connection"]
"""What told that a create is a repeat: the client's own count of its tries, or the way its last connection ended."""


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's word that all creates under it are one. `digest` is that of what was asked for."""

    key: str
    digest: bytes
    expires_at: datetime


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """What an idempotency key made, and the digest of what was asked for then."""

    prediction: Prediction
    digest: bytes


class RepeatStore(Protocol):
    """Which creates were there before. In the same database as `PredictionStore`, which keeps the keys.

    A key holds for all API servers: whoever uses it second, anywhere, gets what it made. What `api.repeats` recognizes
    without a key holds for one API server only, because lost connections and answers under way are known only where
    they are. With several, a create that is repeated at another server makes a second prediction; or, if the client
    counts its tries, it may be answered with an equal prediction of the same API key whose answer is under way there.
    """

    async def made_under(self, account_id: str, key: str, at: datetime) -> Earlier | None:
        """What this account made under the key; None if it never used it, or the key has expired at `at`."""
        ...

    async def find_equal(self, wanted: Prediction, after: datetime, before: datetime) -> list[Prediction]:
        """Predictions that were asked for by the same API key in the same words, newest first.

        Compared are: key, kind, version, deployment, source, the bytes of `input` (secrets as they are shown),
        webhook and filter, and the time from creation to deadline. Created within `after` and `before`, both included.
        Of an account with very many new predictions only the newest are looked at (`EQUALS_LOOKED_AT`).
        """
        ...

    def note_repeat(self, prediction_id: str, at: datetime, how: How) -> Awaitable[Prediction | None]:
        """Count one more repeated create: row, revision and a REPEATED event. None if the prediction is absent.

        The only event that may come behind the terminal one, beside DATA_REMOVED.
        """
        ...

    def forget_idempotency_keys(self, at: datetime, limit: int) -> Awaitable[int]:
        """Remove at most so many keys that have expired at `at`; gives how many.

        It runs where the duty to maintain is, without its fence: what has expired may be removed by anybody.
        """
        ...

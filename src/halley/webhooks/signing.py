"""Signatures by the Standard Webhooks scheme, and the secrets behind them. Source: contract section 11.3.

A secret is derived from key material of the data folder (`DATA/secrets.json`), the account and a generation number;
only the number is stored. So a rotation is one row, an old backup of the file cannot bring other secrets unnoticed, and
the database alone is not enough to sign.
"""

import base64
import hmac
from datetime import datetime, timedelta
from typing import Final

from standardwebhooks import Webhook

from halley.clock import Clock
from halley.webhooks.ports import SecretStore

PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 24  # 32 characters without padding: one client splits at `_`, one needs padded base64
_MOST_AT_ONCE: Final = 4  # signatures in a header, after several rotations


class Rotated:
    """A new secret, and until when the previous one is valid."""

    def __init__(self, secret: str, previous_ends_at: datetime) -> None:
        self.secret = secret
        self.previous_ends_at = previous_ends_at


class Signer:
    """Signs for accounts. `root` is secret, and does not change during the life of the data."""

    def __init__(self, root: bytes, store: SecretStore, clock: Clock) -> None:
        self._root = root
        self._store = store
        self._clock = clock

    async def secret(self, account_id: str) -> str:
        """The account's present secret."""
        return (await self._secrets(account_id))[0]

    async def rotate(self, account_id: str, overlap_seconds: float) -> Rotated:
        """Replace the secret. Until the overlap ends, messages also carry a signature with the old one."""
        while True:
            ended = await self._store.ended_generations(account_id)
            current = ended[0][0] + 1 if ended else 1
            ends_at = self._clock.now() + timedelta(seconds=overlap_seconds)
            if await self._store.rotate(account_id, current, ends_at):
                return Rotated(self._secret(account_id, current + 1), ends_at)

    async def headers(self, account_id: str, message_id: str, body: bytes) -> dict[str, str]:
        """The three headers of a message that is sent now. The body must be sent unchanged."""
        now = self._clock.now()
        text = body.decode()
        signatures = [Webhook(secret).sign(message_id, now, text) for secret in await self._secrets(account_id)]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    async def _secrets(self, account_id: str) -> list[str]:
        """All valid secrets, the present one first."""
        ended = await self._store.ended_generations(account_id)
        now = self._clock.now()
        current = ended[0][0] + 1 if ended else 1
        generations = [current, *(number for number, ends_at in ended if ends_at > now)]
        return [self._secret(account_id, number) for number in generations[:_MOST_AT_ONCE]]

    def _secret(self, account_id: str, generation: int) -> str:
        made = hmac.digest(self._root, f"{account_id} {generation}".encode(), "sha256")[:_SECRET_BYTES]
        return PREFIX + base64.b64encode(made).decode()

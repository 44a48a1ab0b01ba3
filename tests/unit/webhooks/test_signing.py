"""Signatures, and the secrets behind them."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock
from halley.webhooks.signing import Signer
from unit.webhooks.conftest import ROOT, Room

pytestmark = pytest.mark.anyio
BODY = b'{"id":"gm3qorzdhgbfurvjtvhg6dckhu","status":"succeeded","output":"hello Alice"}'


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime.now(UTC))  # the reference verifier looks at the real clock


@pytest.fixture
def signer(clock: FakeClock) -> Signer:
    return Signer(ROOT, MemoryStore().deliveries, clock)


async def test_the_vector_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract section 11.3."""
    signer = Signer(ROOT, MemoryStore().deliveries, FakeClock(datetime.fromtimestamp(1767225600, UTC)))
    monkeypatch.setattr(signer, "_secret", lambda account_id, generation: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")
    assert await signer.headers("anna", "msg_2b7k1q", BODY) == {
        "webhook-id": "msg_2b7k1q",
        "webhook-timestamp": "1767225600",
        "webhook-signature": "v1,lzffJoJ0NFKXWozd4uNl5FZTDYd3oaw3LfVM5eJbGDc=",
    }


async def test_a_secret_has_the_form_that_every_client_reads(signer: Signer) -> None:
    for number in range(300):
        prefix, underscore, rest = (await signer.secret(f"account-{number}")).partition("_")
        assert (prefix, underscore) == ("whsec", "_")
        assert len(base64.b64decode(rest, validate=True)) == 24  # the standard alphabet, no padding needed
        assert len(rest) == 32
        assert "_" not in rest  # two clients split there


async def test_secrets_differ_by_account_and_stay(signer: Signer) -> None:
    assert await signer.secret("anna") == await signer.secret("anna")
    assert await signer.secret("anna") != await signer.secret("bert")
    other = Signer(b"x" * 32, MemoryStore().deliveries, FakeClock())
    assert await other.secret("anna") != await signer.secret("anna")


async def test_both_secrets_sign_until_the_overlap_is_over(signer: Signer, clock: FakeClock) -> None:
    old = await signer.secret("anna")
    rotated = await signer.rotate("anna", 3600)
    assert rotated.secret == await signer.secret("anna") != old
    assert rotated.previous_ends_at == clock.now() + timedelta(hours=1)
    headers = await signer.headers("anna", "msg_1", BODY)
    signatures = headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    assert all(signature.startswith("v1,") for signature in signatures)  # one client raises on others
    for secret in (old, rotated.secret):
        Webhook(secret).verify(BODY, headers)
    clock.advance(3601)
    (only,) = (await signer.headers("anna", "msg_1", BODY))["webhook-signature"].split(" ")
    assert only == _signed(rotated.secret, "msg_1", int(clock.now().timestamp()))


async def test_a_leaked_secret_can_end_at_once(signer: Signer) -> None:
    await signer.rotate("anna", 3600)
    await signer.rotate("anna", 0)
    headers = await signer.headers("anna", "msg_1", BODY)
    assert len(headers["webhook-signature"].split(" ")) == 1
    Webhook(await signer.secret("anna")).verify(BODY, headers)


async def test_rotations_in_a_row_keep_the_header_short(signer: Signer) -> None:
    for _ in range(10):
        await signer.rotate("anna", 3600)
    assert len((await signer.headers("anna", "msg_1", BODY))["webhook-signature"].split(" ")) == 4


async def test_what_is_sent_is_what_was_signed(room: Room) -> None:
    await room.done()
    await room.pass_time(0.2)
    (told,) = room.told
    expected = _signed(await room.desk.secret("anna"), told.id, int(told.headers["webhook-timestamp"]), told.content)
    assert told.headers["webhook-signature"] == expected


def _signed(secret: str, message_id: str, timestamp: int, body: bytes = BODY) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(made).decode()

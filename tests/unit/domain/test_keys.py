"""Keys: shown once, stored as HMAC, refused when they should be."""

import pytest

from halley.errors import Conflict, InputInvalid, NotAuthenticated, NotFound, Unusable
from halley.hmac_sha256 import HmacSha256
from halley.ids import TimeOrderedIds
from halley.keys import tokens
from halley.keys.records import Scope
from halley.keys.service import Keys
from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def keys(store: MemoryStore, clock: FakeClock) -> Keys:
    return Keys(store=store, clock=clock, new_id=TimeOrderedIds(clock), pepper=b"pepper")


async def test_two_accounts_are_distinguished(keys: Keys) -> None:
    first, _ = await keys.issue("ada", "laptop")
    second, _ = await keys.issue("bob", "laptop")
    assert (await keys.verify(first)).account.username == "ada"
    assert (await keys.verify(second)).account.username == "bob"


async def test_a_second_key_belongs_to_the_same_account(keys: Keys) -> None:
    first, _ = await keys.issue("ada", "laptop")
    second, _ = await keys.issue("ada", "ci")
    assert (await keys.verify(first)).account == (await keys.verify(second)).account


async def test_the_token_is_nowhere_in_the_store(keys: Keys) -> None:
    token, key = await keys.issue("ada", "laptop")
    assert token.removeprefix("hly_") not in repr(await keys.page())
    assert key.digest == tokens.digest(HmacSha256(b"pepper"), token)
    assert token.startswith(key.hint.removesuffix("..."))
    assert len(key.hint) < 16


async def test_a_revoked_key_is_refused_at_once(keys: Keys) -> None:
    token, key = await keys.issue("ada", "laptop")
    await keys.verify(token)
    await keys.revoke(key.id)
    with pytest.raises(NotAuthenticated):
        await keys.verify(token)
    with pytest.raises(NotFound):
        await keys.revoke("nobody")


async def test_a_key_revoked_elsewhere_is_refused_after_the_recheck(
    keys: Keys, store: MemoryStore, clock: FakeClock
) -> None:
    token, key = await keys.issue("ada", "laptop")
    await keys.verify(token)
    await store.revoke_key(key.id, clock.now())
    clock.advance(6)
    assert keys.known(token) is None
    with pytest.raises(NotAuthenticated):
        await keys.verify(token)


async def test_every_refusal_reads_the_same(keys: Keys) -> None:
    token, _ = await keys.issue("ada", "laptop")
    messages = set()
    for wrong in ("", "x", "hly_" + "a" * 38, token[:-1] + ("0" if token[-1] != "0" else "1"), "é" * 40, "y" * 40):
        with pytest.raises(NotAuthenticated) as refused:
            await keys.verify(wrong)
        messages.add(str(refused.value))
    assert len(messages) == 1


def test_the_checksum_refuses_every_single_changed_character() -> None:
    token = tokens.make_token(lambda below: 7 % below)
    assert tokens.is_plausible(token)
    for place in range(4, len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert not tokens.is_plausible(changed)


async def test_the_first_start_makes_an_admin_key_once(keys: Keys) -> None:
    token = await keys.ensure_admin(None)
    assert token is not None
    assert (await keys.verify(token)).may(Scope.ADMIN)
    assert await keys.ensure_admin(None) is None


async def test_an_operator_sets_the_admin_key(keys: Keys) -> None:
    own = "my-own-very-long-admin-key-0123456789"
    assert await keys.ensure_admin(own) is None
    assert await keys.ensure_admin(own) is None
    assert (await keys.verify(own)).may(Scope.ADMIN)
    with pytest.raises(Unusable, match="32"):
        await keys.ensure_admin("short")
    with pytest.raises(Conflict):
        await keys.issue("ada", "again", token=own)


async def test_scopes(keys: Keys) -> None:
    token, _ = await keys.issue("ada", "reader", {Scope.READ})
    identity = await keys.verify(token)
    assert identity.may(Scope.READ)
    assert not identity.may(Scope.WRITE)
    with pytest.raises(InputInvalid):
        await keys.issue("ada", "nothing", ())
    with pytest.raises(InputInvalid):
        await keys.issue("no spaces please", "x")

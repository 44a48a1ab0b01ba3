"""The promises of `keys.ports.KeyStore`."""

from typing import Any

import msgspec
import pytest

from halley.errors import Conflict
from halley.keys.records import Account, Key, KeyOptions, Scope
from halley.store.ports import Store
from halley.testing.stores.maker import Maker, StoreSuite


@pytest.mark.anyio
class KeyStoreContract(StoreSuite):
    """What every implementation of `KeyStore` must do."""

    def account(self, maker: Maker, username: str, **members: Any) -> Account:
        return Account(id=maker.new_id(), username=username, created_at=maker.clock.now(), **members)

    def key(self, maker: Maker, account: Account, digest: bytes = b"\x00digest", **members: Any) -> Key:
        maker.clock.advance(1)
        return Key(
            id=maker.new_id(),
            account_id=account.id,
            name="laptop",
            digest=digest,
            hint="hly_abc",
            created_at=maker.clock.now(),
            **members,
        )

    async def test_an_account_comes_back_whole(self, store: Store, maker: Maker) -> None:
        account = self.account(maker, "anna", type="organization", name="Anna & Co", weight=3)
        assert await store.put_account(account) == account
        assert await store.get_account(account.id) == account
        assert await store.find_account("anna") == account
        assert await store.get_account("anna") is None
        assert await store.find_account(account.id) is None

    async def test_a_username_is_taken_once(self, store: Store, maker: Maker) -> None:
        first = await store.put_account(self.account(maker, "anna"))
        assert await store.put_account(self.account(maker, "anna", weight=9)) == first
        assert await store.find_account("anna") == first

    async def test_a_key_is_found_by_its_digest(self, store: Store, maker: Maker) -> None:
        account = await store.put_account(self.account(maker, "anna"))
        key = self.key(maker, account, scopes=frozenset({Scope.READ, Scope.ADMIN}))
        await store.put_key(key)
        assert await store.find_key(b"\x00digest") == key
        assert await store.find_key(b"other") is None
        assert await store.find_key(b"") is None

    async def test_scopes_of_keys_that_are_valid(self, store: Store, maker: Maker) -> None:
        account = await store.put_account(self.account(maker, "anna"))
        first = self.key(maker, account, b"one", scopes=frozenset({Scope.READ}))
        second = self.key(maker, account, b"two", scopes=frozenset({Scope.WRITE, Scope.ADMIN}))
        revoked = self.key(maker, account, b"three", revoked_at=maker.clock.now())
        for key in (first, second, revoked):
            await store.put_key(key)
        wanted = [first.id, second.id, revoked.id, "absent"]
        assert await store.valid_scopes(wanted) == {first.id: first.scopes, second.id: second.scopes}
        assert await store.valid_scopes([]) == {}

    async def test_a_digest_is_unique(self, store: Store, maker: Maker) -> None:
        account = await store.put_account(self.account(maker, "anna"))
        key = self.key(maker, account)
        await store.put_key(key)
        with pytest.raises(Conflict):
            await store.put_key(self.key(maker, account))
        assert await store.list_keys() == [key]

    async def test_a_key_needs_its_account(self, store: Store, maker: Maker) -> None:
        with pytest.raises(Conflict):
            await store.put_key(self.key(maker, self.account(maker, "nobody")))
        assert await store.list_keys() == []

    async def test_keys_are_listed_newest_first(self, store: Store, maker: Maker) -> None:
        anna = await store.put_account(self.account(maker, "anna"))
        bert = await store.put_account(self.account(maker, "bert"))
        keys = [self.key(maker, account, bytes([number])) for number, account in enumerate((anna, bert, anna))]
        for key in keys:
            await store.put_key(key)
        assert await store.list_keys() == keys[::-1]
        assert await store.list_keys(anna.id) == [keys[2], keys[0]]
        assert await store.list_keys("absent") == []

    async def test_keys_are_read_in_pages(self, store: Store, maker: Maker) -> None:
        account = await store.put_account(self.account(maker, "anna"))
        keys = [self.key(maker, account, bytes([number])) for number in range(5)]
        for key in keys:
            await store.put_key(key)
        keys.sort(key=lambda key: key.id, reverse=True)
        assert await store.page_keys(None, 2) == keys[:2]
        assert await store.page_keys(keys[1].id, 2) == keys[2:4]
        assert await store.page_keys(keys[3].id, 2) == keys[4:]
        assert await store.page_keys(keys[4].id, 2) == []

    async def test_a_key_is_revoked_once_and_stays_known(self, store: Store, maker: Maker) -> None:
        account = await store.put_account(self.account(maker, "anna"))
        key = self.key(maker, account)
        await store.put_key(key)
        revoked = await store.revoke_key(key.id, maker.clock.now())
        assert revoked == msgspec.structs.replace(key, revoked_at=maker.clock.now())
        assert await store.find_key(key.digest) == revoked
        maker.clock.advance(9)
        assert await store.revoke_key(key.id, maker.clock.now()) == revoked
        assert await store.revoke_key("absent", maker.clock.now()) is None

    async def test_a_configured_key_takes_the_place_of_the_one_before(self, store: Store, maker: Maker) -> None:
        account = await store.put_account(self.account(maker, "anna"))
        keys = [self.key(maker, account, digest) for digest in (b"first", b"second", b"other")]
        for key in keys:
            await store.put_key(key)
        first, second, other = keys
        assert await store.set_configured(first.id, maker.clock.now()) == []
        assert await store.set_configured(first.id, maker.clock.now()) == []
        at = maker.clock.now()
        revoked = [msgspec.structs.replace(first, revoked_at=at)]
        assert await store.set_configured(second.id, at) == revoked
        assert await store.list_keys() == [other, second, *revoked]
        maker.clock.advance(9)
        await store.revoke_key(second.id, maker.clock.now())
        assert await store.set_configured(second.id, maker.clock.now()) == []
        assert await store.list_keys() == [other, second, *revoked]
        assert [key.id for key in await store.set_configured(first.id, maker.clock.now())] == [second.id]
        assert await store.find_key(first.digest) == first

    async def test_options_come_back_and_are_changed_one_by_one(self, store: Store, maker: Maker) -> None:
        account = await store.put_account(self.account(maker, "anna"))
        key = self.key(maker, account, options=KeyOptions(hold=False))
        other = self.key(maker, account, b"other")
        await store.put_key(key)
        await store.put_key(other)
        assert await store.find_key(key.digest) == key
        changed = await store.change_options(key.id, {"cancel_abandoned": True})
        assert changed == msgspec.structs.replace(key, options=KeyOptions(hold=False, cancel_abandoned=True))
        assert await store.find_key(key.digest) == changed
        back = await store.change_options(key.id, {"hold": None})
        assert back is not None
        assert back.options == KeyOptions(cancel_abandoned=True)
        assert await store.list_keys() == [other, back]
        assert await store.change_options("absent", {"hold": False}) is None

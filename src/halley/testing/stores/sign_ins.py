"""The promises of `keys.ports.SignInStore`."""

from datetime import timedelta

import pytest

from halley.keys.ports import MOST_SIGN_INS
from halley.keys.records import SignIn
from halley.store.ports import Store
from halley.testing.stores.maker import Maker, StoreSuite


@pytest.mark.anyio
class SignInStoreContract(StoreSuite):
    """What every implementation of `SignInStore` must do."""

    def sign_in(self, maker: Maker, digest: bytes, key_id: str = "k1", seconds: float = 60) -> SignIn:
        now = maker.clock.now()
        return SignIn(digest=digest, key_id=key_id, created_at=now, ends_at=now + timedelta(seconds=seconds))

    async def test_it_is_found_by_its_digest(self, store: Store, maker: Maker) -> None:
        one = self.sign_in(maker, b"\x00one")
        await store.put_sign_in(one)
        assert await store.find_sign_in(b"\x00one") == one
        assert await store.find_sign_in(b"one") is None

    async def test_its_end_is_moved(self, store: Store, maker: Maker) -> None:
        one = self.sign_in(maker, b"one")
        await store.put_sign_in(one)
        later = one.ends_at + timedelta(hours=1)
        await store.extend_sign_in(b"one", later)
        await store.extend_sign_in(b"none", later)
        found = await store.find_sign_in(b"one")
        assert found is not None
        assert found.ends_at == later
        assert await store.find_sign_in(b"none") is None

    async def test_one_ends_or_all_of_a_key(self, store: Store, maker: Maker) -> None:
        for digest, key_id in ((b"a", "k1"), (b"b", "k1"), (b"c", "k1"), (b"d", "k2")):
            await store.put_sign_in(self.sign_in(maker, digest, key_id))
        await store.end_sign_in(b"a")
        await store.end_sign_in(b"a")
        assert await store.end_sign_ins_of("k1") == 2
        assert await store.end_sign_ins_of("k1") == 0
        assert [await store.find_sign_in(digest) is None for digest in (b"a", b"b", b"c", b"d")] == [
            True,
            True,
            True,
            False,
        ]

    async def test_a_new_one_deletes_those_that_have_ended(self, store: Store, maker: Maker) -> None:
        await store.put_sign_in(self.sign_in(maker, b"short", seconds=5))
        await store.put_sign_in(self.sign_in(maker, b"long", seconds=500))
        maker.clock.advance(10)
        assert await store.find_sign_in(b"short") is not None
        await store.put_sign_in(self.sign_in(maker, b"new"))
        assert await store.find_sign_in(b"short") is None
        assert await store.find_sign_in(b"long") is not None

    async def test_of_a_key_the_newest_are_kept(self, store: Store, maker: Maker) -> None:
        await store.put_sign_in(self.sign_in(maker, b"other", "k2"))
        for number in range(MOST_SIGN_INS + 3):
            maker.clock.advance(0.001)
            await store.put_sign_in(self.sign_in(maker, b"%d" % number))
        found = [await store.find_sign_in(b"%d" % number) is not None for number in range(MOST_SIGN_INS + 3)]
        assert found == [False] * 3 + [True] * MOST_SIGN_INS
        assert await store.find_sign_in(b"other") is not None

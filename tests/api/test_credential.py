"""A connection remembers its newest key: with the same results as if each request were read alone."""

import pytest

from api.world import World
from halley.api.http.credential import Credential
from halley.errors import NotAuthenticated

pytestmark = pytest.mark.anyio


async def test_each_request_is_of_its_own_key(world: World) -> None:
    credential = Credential()
    for token in (world.token, world.token, world.other_token, world.token):
        for scheme in (b"Bearer ", b"bearer ", b"Token   "):
            identity = await credential.identity(scheme + token.encode(), world.keys)
            assert identity.account == (await world.keys.verify(token)).account


@pytest.mark.parametrize("header", [None, b"", b"Bearer", b"Bearer ", b"Basic abc", b"Bearer r8_unknown"])
async def test_a_valid_key_before_does_not_help(world: World, header: bytes | None) -> None:
    credential = Credential()
    for _ in range(2):
        await credential.identity(b"Bearer " + world.token.encode(), world.keys)
        for _ in range(2):
            with pytest.raises(NotAuthenticated):
                await credential.identity(header, world.keys)


async def test_a_revoked_key_ends_on_its_connection(world: World) -> None:
    credential = Credential()
    header = b"Bearer " + world.token.encode()
    identity = await credential.identity(header, world.keys)
    await world.keys.revoke(identity.key.id)
    world.clock.advance(10)
    with pytest.raises(NotAuthenticated):
        await credential.identity(header, world.keys)

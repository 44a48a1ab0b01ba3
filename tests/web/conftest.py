"""The world of the dashboard's tests."""

import pytest

from api.world import World
from web.browser import Browser


@pytest.fixture
async def world(anyio_backend: str) -> World:
    return await World().fill()


@pytest.fixture
async def browser(world: World) -> Browser:
    """A browser that is signed in with alice's key."""
    return await Browser(world).signed_in(world.token)

"""The world of the dashboard's tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from api.world import World
from web.browser import Browser


@pytest.fixture
async def world(anyio_backend: str) -> AsyncIterator[World]:
    world = await World().fill()
    waiters = asyncio.ensure_future(world.hub.run())
    yield world
    waiters.cancel()
    await asyncio.wait([waiters])


@pytest.fixture
async def browser(world: World) -> Browser:
    """A browser that is signed in with alice's key."""
    return await Browser(world).signed_in(world.token)

"""The world of the API tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from api.world import World


@pytest.fixture
async def world(anyio_backend: str) -> AsyncIterator[World]:
    world = await World().fill()
    waiters = asyncio.ensure_future(world.hub.run())
    yield world
    waiters.cancel()
    await asyncio.wait([waiters])

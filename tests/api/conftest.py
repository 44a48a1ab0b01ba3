"""The world of the API tests."""

import pytest

from api.world import World


@pytest.fixture
async def world(anyio_backend: str) -> World:
    return await World().fill()

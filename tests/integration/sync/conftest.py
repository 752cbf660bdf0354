"""The served operations API as a fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.sync.world import World, served


@pytest.fixture
async def world(migrated_database_url: str) -> AsyncIterator[World]:
    """The operations API of the test's own."""
    async with served(migrated_database_url) as world:
        yield world

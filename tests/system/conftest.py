"""One world for all system tests: each test or module takes a tenant of its own in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from tests.system.world import World, running_world

from headwater.kernel.testing import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def world(
    postgres_server: str, migrated_template_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The real processes against a database of their own."""
    url = anyio.run(postgres.create_database, postgres_server, migrated_template_url)
    try:
        with running_world(url, tmp_path_factory.mktemp("world")) as running:
            yield running
    finally:
        anyio.run(postgres.drop_database, postgres_server, url)

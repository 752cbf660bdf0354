"""One database for the module that drives a real service."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from headwater.kernel.testing import postgres


@pytest.fixture(scope="module")
def migrated_database(postgres_server: str, migrated_template_url: str) -> Iterator[str]:
    """URL of a database with every service's schema, for one module."""
    url = anyio.run(postgres.create_database, postgres_server, migrated_template_url)
    yield url
    anyio.run(postgres.drop_database, postgres_server, url)

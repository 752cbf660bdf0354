"""Contract tests of connectors: recordings, the vendors' own clients, and the running sandbox; loopback only."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"

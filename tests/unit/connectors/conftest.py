"""Unit tests of connectors: no sockets; the vendor is a scripted transport."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"

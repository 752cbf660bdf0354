"""What tests of sync work on: the served operations API, the queue of one account, a sandbox CRM without records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.queued import Queue, queued
from tests.integration.sync.whole import SECRET, TENANT
from tests.integration.sync.world import World, served


@pytest.fixture
async def world(migrated_database_url: str) -> AsyncIterator[World]:
    """The operations API of the test's own."""
    async with served(migrated_database_url) as world:
        yield world


@pytest.fixture
async def queue(migrated_database_url: str) -> AsyncIterator[Queue]:
    """The queue of one account."""
    async with queued(migrated_database_url) as queue:
        yield queue


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxProcess]:
    """A sandbox without seeded records, and the secret that opens its accounts."""
    monkeypatch.setenv("HEADWATER_SECRET_HUBSPOT", SECRET)
    process = SandboxProcess(tmp_path / "sandbox").start()
    try:
        process.client.post(f"{process.url}/_sandbox/hubspot/{TENANT}/reset?seed=false").raise_for_status()
        yield process
    finally:
        process.client.close()
        process.stop()

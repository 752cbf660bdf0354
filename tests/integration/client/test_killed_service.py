"""The real service, killed without a goodbye and started again under load: the ledger has every event once."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import anyio.to_thread
import asyncpg
import pytest
from tests.integration.ingest.world import TENANT, event, policy_event
from tests.system.processes import Child

from headwater.client import Accepted, Backoff, ClientSettings, Duplicate, IngestClient, Outcome, Recorder

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]
PRODUCERS = 4
EVENTS_EACH = 2_000
KILLS = 3
SETTINGS = ClientSettings(backoff=Backoff(0.02, 0.2), give_up_s=40.0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_service_killed_under_load_loses_and_doubles_nothing(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """As many rows in the log as events sent, and each outcome names one of them."""
    address = f"127.0.0.1:{_free_port()}"
    environment = {
        "HEADWATER_DATABASE_URL": migrated_database_url,
        "HEADWATER_INGEST_ADDRESS": address,
        "HEADWATER_SYNC_ADDRESS": "",
    }
    child = Child("ingest", environment, tmp_path / "ingest.stderr")
    settled = _Settled()
    try:
        await anyio.to_thread.run_sync(child.start)
        async with IngestClient(address, TENANT, settings=SETTINGS) as client:
            await client.record_one(policy_event())
            async with client.recorder() as recorder, anyio.create_task_group() as tasks:
                for producer in range(PRODUCERS):
                    tasks.start_soon(_produce, recorder, producer * EVENTS_EACH, settled)
                for number in range(1, KILLS + 1):
                    await settled.reach(number * PRODUCERS * EVENTS_EACH // (KILLS + 1))
                    child.kill()
                    await anyio.to_thread.run_sync(child.start)
    finally:
        await anyio.to_thread.run_sync(child.end)
    total = PRODUCERS * EVENTS_EACH
    outcomes = settled.outcomes
    assert {type(item) for item in outcomes} <= {Accepted, Duplicate}
    keys = {item.event_key for item in outcomes}
    assert len(outcomes) == len(keys) == total
    assert await _recorded(migrated_database_url) == (total, total)


async def _produce(recorder: Recorder, first: int, settled: _Settled) -> None:
    for begin in range(first, first + EVENTS_EACH, 500):
        receipts = [await recorder.submit(event(number)) for number in range(begin, begin + 500)]
        for receipt in receipts:
            settled.add(await receipt)


class _Settled:
    """Outcomes as they come; tells when there are so many."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._grown = anyio.Event()

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._grown.set()

    async def reach(self, count: int) -> None:
        while len(self.outcomes) < count:
            self._grown = anyio.Event()
            await self._grown.wait()


async def _recorded(url: str) -> tuple[int, int]:
    """Rows of contacts in the log, and different records among them."""
    connection = await asyncpg.connect(url)
    try:
        query = "SELECT count(*), count(DISTINCT external_id) FROM ingest.event WHERE object = 'contact'"
        row = await connection.fetchrow(query)
    finally:
        await connection.close()
    assert row is not None
    return row[0], row[1]

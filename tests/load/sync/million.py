"""What a million deliveries leave behind: size of the queue's tables and indexes against that of their live rows."""

from __future__ import annotations

import sys
from typing import Final

import asyncpg
from tests.load.ingest.meters import Usage, read_usage
from tests.load.ingest.stages import Measurement, run
from tests.load.sync.ground import CALL_S, Ground
from tests.load.sync.ours import Errand

ENTITIES: Final = 50_000
"""Live rows; each is delivered again and again, so that a million deliveries turn over the same rows."""
SECONDS_MAX: Final = 1_500.0


async def measure(ground: Ground, deliveries: int) -> Measurement:
    """Deliver *deliveries* times over `ENTITIES` rows with autovacuum as it is shipped, and look at the sizes.

    What they are held against is the same rows, known to the CRM and all due, after a VACUUM FULL: there is none after.
    """
    entities = min(ENTITIES, deliveries // 5)
    async with ground.database(migrated=True) as url:
        meter = await asyncpg.connect(url, timeout=CALL_S)

        async def read() -> Usage:
            return await read_usage(meter, 0, ground.postgres_pid)

        errand = Errand(url=url, deliveries=entities, rounds=deliveries // entities, compact=True)
        command = [sys.executable, "-m", "tests.load.sync.ours", errand.command_argument()]
        try:
            return await run(command, seconds=SECONDS_MAX, read_usage=read)
        finally:
            meter.terminate()

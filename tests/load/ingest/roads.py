"""Where the two roads into the log cross: `roads <database url>` times batches of several sizes by both, in turn.

The database must be migrated and idle; every batch is new and of one tenant. Prints medians, and a one-row commit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from typing import Final

import asyncpg
import uvloop
from tests.unit.ingest.arrivals import new_event

from headwater.ingest.domain.event import NewEvent
from headwater.ingest.store.announcing import Announcer
from headwater.ingest.store.log import PostgresEventLog
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import Spans

SIZES: Final = (1, 10, 20, 40, 80, 100, 120, 160, 320)
ROWS: Final = 4_000
"""By each road and size, at least `ROUNDS_MIN` batches."""
ROUNDS_MIN: Final = 40
ROUNDS_MAX: Final = 400


async def measure(url: str) -> None:
    """Time both roads and print a line a size."""
    async with await open_pool(url, application_name="roads", size_min=1, size_max=1) as pool:
        few = PostgresEventLog(
            pool,
            Spans.off(),
            Announcer(pool, acquire_timeout_s=5),
            acquire_timeout_s=5,
            few_rows_max=max(SIZES),
        )
        many = PostgresEventLog(
            pool, Spans.off(), Announcer(pool, acquire_timeout_s=5), acquire_timeout_s=5, few_rows_max=0
        )
        one = await asyncpg.connect(url)
        await one.execute("CREATE TABLE IF NOT EXISTS roads_one_row (number uuid PRIMARY KEY, payload bytea)")
        made = time.time_ns()
        for size in SIZES:
            spent: dict[str, list[float]] = {"few": [], "many": [], "one": []}
            for _ in range(min(ROUNDS_MAX, max(ROUNDS_MIN, ROWS // size))):
                for name, road in (("few", few), ("many", many)):
                    batch = _batch(made, size)
                    made += size
                    spent[name].append(await _timed(partial(road.append, batch)))
                spent["one"].append(await _timed(partial(one.execute, ONE_ROW, b"x" * 350)))
            of = {name: median(times) * 1e3 for name, times in spent.items()}
            sys.stdout.write(
                f"{size:4} rows: few {of['few']:.2f} ms, many {of['many']:.2f} ms ({of['few'] / of['many']:.2f}), "
                f"one-row commit {of['one']:.2f} ms\n"
            )
        await one.execute("DROP TABLE roads_one_row")
        await one.close()


ONE_ROW: Final = "INSERT INTO roads_one_row VALUES (gen_random_uuid(), $1)"


def _batch(first: int, size: int) -> list[NewEvent]:
    return [new_event(external_id=f"r{number}") for number in range(first, first + size)]


async def _timed(act: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


if __name__ == "__main__":
    uvloop.run(measure(sys.argv[1]))

"""What Postgres allows without any service: `limits <case> <database url> <seconds>`, see `stages`.

The same facts as an event brings, with a 16-byte hash as `uuid` under a unique index beside a `bigint` identity.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import anyio
import asyncpg
import uvloop
from tests.load.figures import percentile
from tests.load.ingest.facts import rows

BATCH_ROWS: Final = 1_000
ROWS_A_SECOND_MAX: Final = 160_000
"""Rows are made before the clock starts: as many as the fastest case could take, within memory."""
ROWS_MAX: Final = 640_000
WARM_UP_S: Final = 0.5
COLUMNS: Final = (
    "event_key", "tenant_id", "source", "object", "external_id", "source_version", "event_time", "operation",
    "payload", "actor_type", "actor_id", "actor_name", "request_id", "traceparent", "tracestate",
)  # fmt: skip
TABLE: Final = """
CREATE TABLE bench_raw (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_key uuid NOT NULL UNIQUE, tenant_id text NOT NULL,
    source text NOT NULL, object text NOT NULL, external_id text NOT NULL, source_version text NOT NULL,
    event_time timestamptz NOT NULL, operation smallint NOT NULL, payload bytea NOT NULL,
    actor_type smallint NOT NULL, actor_id text NOT NULL, actor_name text NOT NULL, request_id text NOT NULL,
    traceparent text NOT NULL, tracestate text NOT NULL
)"""
INSERT: Final = f"""
INSERT INTO bench_raw ({", ".join(COLUMNS)})
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
    $8::smallint[], $9::bytea[], $10::smallint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
ON CONFLICT DO NOTHING RETURNING event_key"""  # noqa: S608 - constants
INSERT_ONE: Final = f"""
INSERT INTO bench_raw ({", ".join(COLUMNS)})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"""  # noqa: S608 - constants
Rows = Sequence[tuple[Any, ...]]
Write = Callable[[asyncpg.Connection, Rows], Awaitable[Any]]


async def copy(connection: asyncpg.Connection, batch: Rows) -> None:
    """Write a batch by binary COPY."""
    await connection.copy_records_to_table("bench_raw", records=batch, columns=COLUMNS)


async def unnest(connection: asyncpg.Connection, batch: Rows) -> None:
    """Write a batch by one idempotent INSERT."""
    await connection.fetch(INSERT, *zip(*batch, strict=True))


async def one_row(connection: asyncpg.Connection, batch: Rows) -> None:
    """Commit one row."""
    await connection.execute(INSERT_ONE, *batch[0])


CASES: Final[dict[str, tuple[Write, int, int]]] = {
    "copy": (copy, BATCH_ROWS, 1),
    "unnest": (unnest, BATCH_ROWS, 2),
    "one_row": (one_row, 1, 1),
}
"""Name to writer, rows in a batch, connections."""


def make_rows(case: str, seconds: float) -> Rows:
    """Return the rows of a run, keys included."""
    count = min(ROWS_MAX, int(ROWS_A_SECOND_MAX * (seconds + WARM_UP_S)))
    if case == "one_row":
        count //= 10
    facts = rows("raw", count, dt.datetime.now(dt.UTC))
    return [(_key(fact), *fact) for fact in facts]


def _key(fact: tuple[Any, ...]) -> uuid.UUID:
    named = "\0".join((*fact[:4], str(fact[5]))).encode()
    return uuid.UUID(bytes=hashlib.blake2b(named, digest_size=16).digest())


async def measure(case: str, url: str, seconds: float) -> None:
    """Write until the window is over or the rows are, and tell the stages."""
    write, batch_rows, connections = CASES[case]
    made = make_rows(case, seconds)
    batches = iter([made[start : start + batch_rows] for start in range(0, len(made), batch_rows)])
    pool = [await asyncpg.connect(url) for _ in range(connections)]
    await pool[0].execute(TABLE)
    latencies_s: list[float] = []
    written = 0

    async def work(connection: asyncpg.Connection, ends: float) -> None:
        nonlocal written
        while time.perf_counter() < ends and (batch := next(batches, None)) is not None:
            began = time.perf_counter()
            await write(connection, batch)
            written += len(batch)
            latencies_s.append(time.perf_counter() - began)

    async def spell(length_s: float) -> float:
        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for connection in pool:
                tasks.start_soon(work, connection, began + length_s)
        return time.perf_counter() - began

    await spell(WARM_UP_S)
    warm = written
    latencies_s.clear()
    _say(stage="measuring")
    used = time.process_time()
    elapsed = await spell(seconds)
    latency_ms = {
        name: percentile(latencies_s, share) * 1_000 for name, share in (("p50", 0.5), ("p99", 0.99))
    }
    cpu_s = time.process_time() - used
    _say(stage="measured", events=written - warm, seconds=elapsed, cpu_s=cpu_s, latency_ms=latency_ms)
    stored = await pool[0].fetchval("SELECT count(*) FROM bench_raw")
    _say(stage="done", acked=written, distinct=written, stored=stored)
    for connection in pool:
        await connection.close()


def _say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(measure(sys.argv[1], sys.argv[2], float(sys.argv[3])))

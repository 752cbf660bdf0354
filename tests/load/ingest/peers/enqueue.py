"""Enqueues jobs by a Python peer's own bulk call: `enqueue.py <peer> <database url> <seconds>`.

Runs in the peers' own environment and so imports nothing of ours. Speaks the protocol of `stages`.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

JOBS_A_CALL = 1_000
JOB_BYTES = 450
WARM_UP_S = 0.5
Enqueue = Callable[[list[str]], Awaitable[Any]]


def say(**facts: Any) -> None:
    """Tell the harness where this run stands."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def bodies(call: int) -> list[str]:
    """Return the bodies of one call: distinct, JSON, `JOB_BYTES` long."""
    shapes = (f'{{"external_id": "{call:08}-{number:04}", "note": "%s"}}' for number in range(JOBS_A_CALL))
    return [shape % ("x" * (JOB_BYTES - len(shape) + 2)) for shape in shapes]


async def run(enqueue: Enqueue, seconds: float) -> int:
    """Enqueue until the window is over; return the jobs of the whole run."""
    calls = 0
    opens = time.perf_counter() + WARM_UP_S
    while time.perf_counter() < opens:
        await enqueue(bodies(calls))
        calls += 1
    say(stage="measuring")
    first, began, used = calls, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        await enqueue(bodies(calls))
        calls += 1
    elapsed, cpu_s = time.perf_counter() - began, time.process_time() - used
    say(stage="measured", events=(calls - first) * JOBS_A_CALL, seconds=elapsed, cpu_s=cpu_s)
    return calls * JOBS_A_CALL


def finish(total: int, stored: int) -> None:
    """Say what was enqueued and what the peer's table holds."""
    rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    say(stage="done", acked=total, distinct=total, stored=stored, rss_bytes=rss_bytes)


async def pgqueuer(url: str, seconds: float) -> None:
    """One `Queries.enqueue` with lists a call."""
    connection = await import_module("asyncpg").connect(url)
    driver = import_module("pgqueuer.db").AsyncpgDriver(connection)
    queries = import_module("pgqueuer.queries").Queries(driver)
    await queries.install()

    async def enqueue(texts: list[str]) -> None:
        await queries.enqueue(["job"] * len(texts), [text.encode() for text in texts], [0] * len(texts))

    total = await run(enqueue, seconds)
    finish(total, await connection.fetchval("select count(*) from pgqueuer"))
    await connection.close()


async def procrastinate(url: str, seconds: float) -> None:
    """One `batch_defer_async` a call."""
    peer = import_module("procrastinate")
    connector = peer.PsycopgConnector(conninfo=url, min_size=1, max_size=1)
    app = peer.App(connector=connector)

    def work(body: str) -> None:
        del body

    job = app.task(work, name="job", queue="bench")
    async with app.open_async():
        await app.schema_manager.apply_schema_async()

        async def enqueue(texts: list[str]) -> None:
            await job.batch_defer_async(*({"body": text} for text in texts))

        total = await run(enqueue, seconds)
        row = await connector.execute_query_one_async("select count(*) as n from procrastinate_jobs")
        finish(total, row["n"])


def main() -> None:
    """Run the peer that the command line names."""
    peer, url, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    work = {"pgqueuer": pgqueuer, "procrastinate": procrastinate}[peer](url, seconds)
    try:
        import uvloop  # noqa: PLC0415 - as the peers recommend; asyncio where it is not there
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()

"""Drains no-op jobs by a Python peer's own worker: `drain.py <peer> <database url> <jobs> <held>`.

Runs in the peers' own environment and so imports nothing of ours. Speaks the protocol of `stages`. The window opens
when the worker starts and closes when its tables say that every job is done.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

JOBS_A_CALL = 1_000
JOB_BYTES = 450
BATCH = 500
"""Jobs of one claim: the peers' best setting."""


def say(**facts: Any) -> None:
    """Tell the harness where this run stands."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def bodies(start: int, count: int) -> list[str]:
    """Return the bodies of jobs: distinct, JSON, `JOB_BYTES` long."""
    shapes = (f'{{"external_id": "{number:012}", "note": "%s"}}' for number in range(start, start + count))
    return [shape % ("x" * (JOB_BYTES - len(shape) + 2)) for shape in shapes]


@asynccontextmanager
async def window(jobs: int) -> AsyncIterator[None]:
    """Say when the work begins and ends, and what it took."""
    say(stage="measuring")
    began, used = time.perf_counter(), time.process_time()
    yield
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - used
    say(stage="measured", events=jobs, seconds=seconds, cpu_s=cpu_s)


@asynccontextmanager
async def snapshot(url: str, *, held: bool) -> AsyncIterator[None]:
    """Hold a snapshot in another connection, so that nothing dead can be cleared away."""
    if not held:
        yield
        return
    connection = await import_module("asyncpg").connect(url)
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    await connection.fetchval("select count(*) from pg_class")
    try:
        yield
    finally:
        await transaction.rollback()
        await connection.close()


async def pgqueuer(url: str, jobs: int, *, held: bool) -> None:
    """`run` in drain mode with batches of 500."""
    connection = await import_module("asyncpg").connect(url)
    queries = import_module("pgqueuer.queries").Queries(
        import_module("pgqueuer.db").AsyncpgDriver(connection)
    )
    await queries.install()
    manager = import_module("pgqueuer").PgQueuer.from_asyncpg_connection(connection).qm
    for start in range(0, jobs, JOBS_A_CALL):
        texts = bodies(start, min(JOBS_A_CALL, jobs - start))
        await queries.enqueue(["job"] * len(texts), [text.encode() for text in texts], [0] * len(texts))

    async def work(job: Any) -> None:
        del job

    manager.entrypoint("job")(work)

    drained = import_module("pgqueuer.types").QueueExecutionMode.drain
    async with snapshot(url, held=held), window(jobs):
        await manager.run(batch_size=BATCH, mode=drained)
    left = await connection.fetchval("select count(*) from pgqueuer")
    done = await connection.fetchval("select count(*) from pgqueuer_log where status = 'successful'")
    say(stage="done", acked=jobs, distinct=jobs, stored=jobs - left if done == jobs else done)
    await connection.close()


async def procrastinate(url: str, jobs: int, *, held: bool) -> None:
    """One worker, one job at a time: its best setting for jobs that do nothing."""
    peer = import_module("procrastinate")
    app = peer.App(connector=peer.PsycopgConnector(conninfo=url, min_size=1, max_size=4))

    async def work(body: str) -> None:
        del body

    job = app.task(work, name="job", queue="bench")
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, jobs, JOBS_A_CALL):
            texts = bodies(start, min(JOBS_A_CALL, jobs - start))
            await job.batch_defer_async(*({"body": text} for text in texts))
        async with snapshot(url, held=held), window(jobs):
            await app.run_worker_async(wait=False, concurrency=1, install_signal_handlers=False)
        query = "select count(*) as n from procrastinate_jobs where status = 'succeeded'"
        row = await app.connector.execute_query_one_async(query)
        say(stage="done", acked=jobs, distinct=jobs, stored=row["n"])


def main() -> None:
    """Run the peer that the command line names."""
    peer, url, jobs, held = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "held"
    work = {"pgqueuer": pgqueuer, "procrastinate": procrastinate}[peer](url, jobs, held=held)
    try:
        import uvloop  # noqa: PLC0415 - as the peers recommend; asyncio where it is not there
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()

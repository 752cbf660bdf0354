"""What the queue alone costs: claim, no-op send, outcome recorded with attempt and audit, through the port.

Run: `python -m tests.load.sync.mechanics --deliveries 200000 --slots 1 2`. One database; each round makes the same
known records due again, so that tables have the age of a queue in use from the second round on.
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import asyncpg
import uvloop
from anyio import to_thread
from tests.load.ingest.meters import WAL_POSITION, cpu_s

from headwater.kernel.pg import queries
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.testing.postgres import create_template
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Wanted
from headwater.sync.store.delivery import PostgresDeliveries

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

TENANT: Final = "acme"
CONNECTOR: Final = "salesforce"
LEASE: Final = Lease(f"connector/{TENANT}/{CONNECTOR}", 1)
FILL_S: Final = 600.0
_SQL = queries.parse((Path(__file__).parent / "queue_fill.sql").read_text(encoding="utf-8"), "queue_fill.sql")


@dataclass(frozen=True, slots=True)
class Round:
    """One drain.

    Args:
        hot_share: updates of sync.delivery that wrote to no index, 0..1, marks and settlements together.
    """

    slots: int
    held_snapshot: bool
    deliveries: int
    seconds: float
    python_cpu_s: float
    postgres_cpu_s: float
    wal_bytes: int
    hot_share: float

    def __str__(self) -> str:
        per = 1e6 / self.deliveries
        held = ", snapshot held" if self.held_snapshot else ""
        return (
            f"slots {self.slots}{held}: {self.deliveries / self.seconds:,.0f} deliveries/s, "
            f"CPU us each: python {self.python_cpu_s * per:.1f}, postgres {self.postgres_cpu_s * per:.1f}; "
            f"WAL B each {self.wal_bytes / self.deliveries:.0f}; HOT {self.hot_share:.0%}"
        )


def deliver(claimed: Claimed, start_time: dt.datetime) -> Settlement:
    """Return the settlement of a write that the CRM took, with the change that it made."""
    title = f"title {claimed.version}"
    known = {**claimed.known, "Title": title}
    change = {
        "field": "Title",
        "before": claimed.known.get("Title"),
        "after": title,
        "rule": "minimal_patch",
    }
    return Settlement(
        claimed=claimed,
        state=State.DELIVERED,
        version=claimed.version,
        crm_object=claimed.crm_object,
        crm_id=claimed.crm_id,
        known=known,
        failure_count=0,
        try_count=0,
        start_time=start_time,
        outcome="updated",
        lane=claimed.lane,
        trace=claimed.trace,
        changes=(change,),
        policy_version="7",
    )


async def drain(store: PostgresDeliveries, slots: int, batch: int) -> int:
    """Deliver until nothing is due; return how many."""
    inflight: dict[int, list[uuid.UUID]] = {slot: [] for slot in range(slots)}
    delivered = 0

    async def work(slot: int) -> None:
        nonlocal delivered
        settlements: list[Settlement] = []
        while True:
            others = [item for other, items in inflight.items() if other != slot for item in items]
            turn = await store.turn(settlements, Wanted(slot, {Lane.LIVE: batch}, others))
            delivered += len(settlements)
            inflight[slot] = [item.entity_id for item in turn.claimed]
            if not turn.claimed:
                return
            start_time = dt.datetime.now(dt.UTC)
            settlements = [deliver(item, start_time) for item in turn.claimed]

    async with anyio.create_task_group() as tasks:
        for slot in range(slots):
            tasks.start_soon(work, slot)
    return delivered


@asynccontextmanager
async def holding_snapshot(url: str, *, held: bool) -> AsyncIterator[None]:
    """Hold a snapshot for the length of the block, as a long report does."""
    if not held:
        yield
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set idle_in_transaction_session_timeout = 0")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval("select count(*) from sync.lease")
            yield
    finally:
        await connection.close()


async def measure(
    pool: Pool, url: str, postgres_pid: int, slots: int, batch: int, *, held: bool, first: bool
) -> Round:
    """Fill, drain, and say what it took."""
    async with holding_snapshot(url, held=held):
        await pool.execute("checkpoint")
        if not first:
            await pool.execute(_SQL["grow_entities"].text, TENANT, timeout=FILL_S)
        hot_before = await _hot_updates(pool)
        await pool.execute(_SQL["line_up"].text, TENANT, CONNECTOR, timeout=FILL_S)
        store = PostgresDeliveries(pool, TENANT, CONNECTOR, LEASE)
        await store.take_over()
        usage = time.process_time(), cpu_s(postgres_pid), await pool.fetchval(WAL_POSITION)
        began = time.monotonic()
        delivered = await drain(store, slots, batch)
        seconds = time.monotonic() - began
        after = time.process_time(), cpu_s(postgres_pid), await pool.fetchval(WAL_POSITION)
    if left := await pool.fetchval(_SQL["count_due"].text, TENANT, CONNECTOR):
        raise RuntimeError(f"{left} deliveries are still due")
    await pool.execute("select pg_stat_force_next_flush()")
    hot = await _hot_updates(pool)
    updates, hot_updates = (int(hot[name] - hot_before[name]) for name in ("updates", "hot_updates"))
    python_s, postgres_s, wal_bytes = (now - then for now, then in zip(after, usage, strict=True))
    share = hot_updates / max(1, updates)
    return Round(slots, held, delivered, seconds, python_s, postgres_s, int(wal_bytes), share)


async def _hot_updates(pool: Pool) -> Mapping[str, int]:
    row = await pool.fetchrow(_SQL["hot_updates"].text)
    assert row is not None
    return dict(row)


def _make_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    directory.chmod(0o755)  # Postgres, started by root, runs as another account and must be able to enter
    return directory


@asynccontextmanager
async def filled_database(deliveries: int) -> AsyncIterator[tuple[str, int]]:
    """A server as the product tunes it, with an account of known records; yields URL and process id."""
    directory = _make_directory()
    server = EmbeddedPostgres(directory / "pg")
    try:
        url = await create_template(await to_thread.run_sync(server.start), ("ingest", "sync"))
        async with await open_pool(url, application_name="fill", statement_timeout_s=FILL_S) as pool:
            await pool.execute(_SQL["hold_lease"].text, LEASE.name)
            await pool.execute(_SQL["fill_entities"].text, TENANT, deliveries, 2)
            await pool.execute(_SQL["fill_deliveries"].text, TENANT, CONNECTOR, deliveries)
            await pool.execute("update sync.delivery set state = 2, desired_version = 1")
            await pool.execute("vacuum analyze")
        yield url, server.pid or 0
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: server.stop("immediate"))
        shutil.rmtree(directory, ignore_errors=True)


async def run(deliveries: int, slots: Sequence[int], batch: int, rounds: int, *, held: bool) -> None:
    """Measure every case *rounds* times in a random order, and print each."""
    async with AsyncExitStack() as stack:
        url, postgres_pid = await stack.enter_async_context(filled_database(deliveries))
        pool = await stack.enter_async_context(
            await open_pool(url, application_name="bench", session_reset=False)
        )
        cases = [(slot, snapshot) for slot in slots for snapshot in ((False, True) if held else (False,))]
        order = [case for _ in range(rounds) for case in random.sample(cases, len(cases))]
        for number, (slot, snapshot) in enumerate(order):
            result = await measure(pool, url, postgres_pid, slot, batch, held=snapshot, first=number == 0)
            print(result, flush=True)  # noqa: T201 - a bench prints
            if not snapshot:
                await pool.execute("vacuum", timeout=FILL_S)
        for row in await pool.fetch(_SQL["relation_bytes"].text):
            print(f"  {row['name']}: {row['bytes'] / 1e6:.1f} MB")  # noqa: T201 - a bench prints


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--held", action="store_true", help="also under a snapshot held by another connection"
    )
    options = parser.parse_args()
    uvloop.run(run(options.deliveries, options.slots, options.batch, options.rounds, held=options.held))


if __name__ == "__main__":
    main()

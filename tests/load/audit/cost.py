"""What the audit takes from the whole path: the very entries of a drain, written once more and proved, metered alone.

Two drains, one with the audit and one without, differ by more than the audit costs: the first version of this bench found
the drain faster with it. So a backlog is drained once, with the numbering off; then, on the same rows in the same
database and with nothing else running, they are written into a table of the same make, and numbered, hashed and signed
as the keeper does it. What that takes of the CPU is held against what the drain took: a drain is bound by its two cores,
so a share of CPU is a share of throughput.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.load.ingest.meters import cpu_s
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync.backlog import AUDITED, NUMBERED, PROCESSES, Drained, drain
from tests.load.sync.ground import Ground, World

from headwater.audit.checkpoints import Signer
from headwater.kernel.clock import SystemClock
from headwater.kernel.pg.pool import open_pool
from headwater.sync.auditing.files import FilePlace
from headwater.sync.auditing.keeper import AuditKeeper, KeeperSettings
from headwater.sync.membership import Membership
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.trail import PostgresTrail

NOT_NUMBERED: Final = {**PROCESSES, "HEADWATER_SYNC_AUDIT_LOOK_S": "60"}
"""The keeper looks once, at the start, and not again while the backlog drains."""
NUMBERED_SHARE_MAX: Final = 0.02
"""Of the entries, how many may have a number already when the drain is over."""
BATCH_ENTRIES: Final = 500
"""Entries that are written in one statement: those of a batch of the projector or of a turn of an account."""
WAL: Final = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
BEGUN: Final = "create table sync.audit_again (like sync.audit including all)"
WRITTEN: Final = """
with part as (
    select * from sync.audit where audit_id > $1 order by audit_id limit $2
), written as (
    insert into sync.audit_again select * from part returning audit_id
)
select max(audit_id) as last_id from written
"""
READ: Final = """
select max(audit_id) as last_id, sum(length(part::text)) as size from (
    select * from sync.audit where audit_id > $1 order by audit_id limit $2
) as part
"""
"""Reading the same rows whole, which writing them again does too, and the first writing did not."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one thing took, per event of the drain."""

    cpu_us: float
    wal_bytes: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Costs:
    """A drain, and what its audit took of it.

    Args:
        written: writing the entries into the table and its indexes, within the drain.
        proved: numbering, hashing and signing them, on top of the drain.
    """

    drained: Drained
    written: Spent
    proved: Spent

    @property
    def whole_us(self) -> float:
        """CPU per event of everything, the audit's among it."""
        return sum(self.drained.cpu_us.values()) + self.proved.cpu_us

    @property
    def proofs_share(self) -> float:
        """Percent of the throughput that proving takes."""
        return self.proved.cpu_us / self.whole_us * 100

    @property
    def audit_share(self) -> float:
        """Percent of the throughput that writing and proving take."""
        return (self.written.cpu_us + self.proved.cpu_us) / self.whole_us * 100

    @property
    def wal_share(self) -> float:
        """Percent of the log of the database that both take."""
        return (
            (self.written.wal_bytes + self.proved.wal_bytes)
            / (self.drained.wal_bytes + self.proved.wal_bytes)
            * 100
        )


async def measure(ground: Ground, events: int) -> Costs:
    """Drain a backlog, then write and prove its audit once more, alone.

    Raises:
        MeasurementFailed: it did not drain, the keeper numbered meanwhile, or not all is proved in the end.
    """
    found: list[Spent] = []

    async def afterwards(world: World, drained: Drained) -> None:
        for name in ("sync", "identity", "ingest"):
            await world.end(name)
        rate = drained.audited / drained.seconds
        found.extend([await _written(world, events), await _proved(world, events, rate)])

    drained = await drain(ground, events, extra=NOT_NUMBERED, afterwards=afterwards)
    if drained.numbered > drained.audited * NUMBERED_SHARE_MAX:
        raise MeasurementFailed(f"{drained.numbered} entries were numbered while the backlog drained")
    return Costs(drained, *found)


async def _spent(world: World, events: int, work: Callable[[], Awaitable[None]]) -> Spent:
    """Meter this process and the database while *work* runs."""
    await world.look.execute("checkpoint")
    wal, postgres = await world.look.fetchval(WAL), cpu_s(world.postgres_pid)
    own, began = time.process_time(), time.perf_counter()
    await work()
    seconds = time.perf_counter() - began
    cpu = time.process_time() - own + cpu_s(world.postgres_pid) - postgres
    return Spent(cpu / events * 1e6, (await world.look.fetchval(WAL) - wal) / events, seconds)


async def _written(world: World, events: int) -> Spent:
    """Return what writing all entries takes, less what reading them does."""
    await world.look.execute(BEGUN)

    async def all_of(statement: str) -> None:
        last: int | None = 0
        while last is not None:
            last = await world.look.fetchval(statement, last, BATCH_ENTRIES)

    read = await _spent(world, events, lambda: all_of(READ))
    both = await _spent(world, events, lambda: all_of(WRITTEN))
    await world.look.execute("drop table sync.audit_again")
    return Spent(max(0.0, both.cpu_us - read.cpu_us), both.wal_bytes, both.seconds)


async def _proved(world: World, events: int, rate: float) -> Spent:
    """Return what numbering and signing all entries takes, in batches of what a second of the drain has written."""
    batch = min(KeeperSettings().batch_entries, max(1, round(rate * KeeperSettings().look_s)))
    with TemporaryDirectory(prefix="headwater-bench-audit-") as place:
        async with _keeper(world, Path(place), batch) as keeper:

            async def all_of() -> None:
                while await keeper.look():
                    pass

            spent = await _spent(world, events, all_of)
    numbered, audited = await world.look.fetchval(NUMBERED), await world.look.fetchval(AUDITED)
    if numbered != audited:
        raise MeasurementFailed(f"{numbered} of {audited} entries were numbered")
    return spent


@asynccontextmanager
async def _keeper(world: World, place: Path, batch_entries: int) -> AsyncIterator[AuditKeeper]:
    """Yield a keeper as a sync process has it."""
    async with await open_pool(world.database_url, application_name="bench-audit", size_max=2) as pool:
        leases = PostgresLeases(pool, "bench-audit", 600.0)
        await leases.beat()
        membership = Membership(leases)
        signer = Signer(Ed25519PrivateKey.generate())

        async def load() -> Signer:
            return signer

        settings = KeeperSettings(batch_entries=batch_entries)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            await membership.wait_until_standing()
            yield AuditKeeper(
                PostgresTrail(pool), FilePlace(place), load, leases, membership, SystemClock(), settings
            )
            tasks.cancel_scope.cancel()

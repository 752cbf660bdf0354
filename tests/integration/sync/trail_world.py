"""A database with an audit that is numbered and signed step by step, for tests of its proofs."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from headwater.audit.checkpoints import Checkpoint, Signer, keys_of, read_checkpoint, read_key
from headwater.audit.entries import Entry
from headwater.audit.merkle import TILE_HASHES
from headwater.audit.verifying import Verdict, verify
from headwater.kernel.clock import SteppedClock
from headwater.kernel.pg.pool import open_pool
from headwater.sync.auditing.files import KEYS_FILE, FilePlace, checkpoint_file, read_lines
from headwater.sync.auditing.keeper import AUDIT_LEASE, AuditKeeper, KeeperSettings
from headwater.sync.domain.leasing import Lease
from headwater.sync.membership import Membership
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.provable import PostgresProvableAudit
from headwater.sync.store.trail import PostgresTrail

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

TENANT: Final = "acme"
ANN: Final = uuid.UUID(int=1)
BEN: Final = uuid.UUID(int=2)
CHANGE: Final = {"field": "email", "before": None, "after": "ann@x.io", "rule": "source_priority"}
FULL: Final[dict[str, Any]] = {
    "action": "delivered",
    "connector": "crm",
    "event_key": uuid.UUID(int=9),
    "policy_version": "7",
    "trace_id": "0" * 31 + "1",
    "object": "contact",
    "attempt_number": 2,
    "version": 3,
    "start_time": dt.datetime(2026, 1, 5, 9, 30, 0, 123456, tzinfo=dt.UTC),
    "outcome": "updated",
    "latency_ms": 12.75,
    "span_id": "0123456789abcdef",
}
"""An entry with every column."""


@dataclass(slots=True)
class TrailWorld:
    """The audit of one database, its keeper and its second place."""

    pool: Pool
    place: Path
    trail: PostgresTrail
    audit: PostgresProvableAudit
    lease: Lease
    keeper: AuditKeeper
    clock: SteppedClock
    signer: Signer
    tenants: list[str] = field(default_factory=lambda: [TENANT])

    async def write(self, count: int = 1, tenant_id: str = TENANT, **columns: Any) -> None:
        """Write entries of one tenant, each as its own statement of one transaction."""
        row: dict[str, Any] = {
            "action": "field_changed",
            "actor": "site",
            "entity_id": ANN,
            "changes": [CHANGE],
        }
        row |= columns
        names, places = ", ".join(row), ", ".join(f"${number}" for number in range(2, len(row) + 2))
        statement = f"insert into sync.audit (tenant_id, {names}) values ($1, {places})"  # noqa: S608 - the tests' names
        await self.pool.executemany(statement, [(tenant_id, *row.values())] * count)

    async def number(self, batch: int = 10_000) -> int:
        """Number what waits."""
        return await self.trail.number(self.lease, self.tenants, batch)

    async def seal(self) -> None:
        """Number and sign, an age after the checkpoint before."""
        self.clock.advance(3_600.0)
        while await self.keeper.look():
            pass

    async def entries(
        self, tenant_id: str = TENANT, audit: PostgresProvableAudit | None = None
    ) -> list[Entry]:
        """Return the whole audit as it stands."""
        read = audit or self.audit
        tiles = range(-(-(await read.standing(tenant_id)).size // TILE_HASHES))
        return [entry for tile in tiles for entry in await read.leaves(tenant_id, tile)]

    def told(self, tenant_id: str = TENANT) -> list[Checkpoint]:
        """Return what the second place was told."""
        return read_lines(checkpoint_file(self.place, tenant_id), read_checkpoint)

    async def verdict(self, tenant_id: str = TENANT, extra: Sequence[Checkpoint] = ()) -> Verdict:
        """Verify against the second place."""
        return await self.verdict_of(await self.entries(tenant_id), tenant_id, extra)

    async def verdict_of(
        self, entries: Sequence[Entry], tenant_id: str = TENANT, extra: Sequence[Checkpoint] = ()
    ) -> Verdict:
        """Verify what was read against the second place."""
        keys = keys_of(read_lines(self.place / KEYS_FILE, read_key))
        return verify(lambda: entries, [self.told(tenant_id), extra], keys)

    async def damage(self, statement: str, *arguments: Any) -> None:
        """Do what only the owner of the tables can: change them without their triggers."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            await connection.execute(statement, *arguments)

    async def seen_after(self, statement: str, *arguments: Any) -> list[Entry]:
        """Return the audit as it stands after a damage that is undone at once."""
        async with self.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute("set local session_replication_role = replica")
                await connection.execute(statement, *arguments)
                return await self.entries(audit=PostgresProvableAudit(cast("Pool", connection)))
            finally:
                await transaction.rollback()


@asynccontextmanager
async def trail_world(
    url: str, place: Path, *, checkpoint_entries: int = 10_000
) -> AsyncIterator[TrailWorld]:
    """Keep the audit of a migrated database."""
    async with await open_pool(url, application_name="test", size_max=4) as pool:
        leases = PostgresLeases(pool, "test", 600.0)
        await leases.beat()
        membership = Membership(leases, lambda: 0.0)
        membership._until_s, membership._standing = 1.0, True  # noqa: SLF001 - standing without a task that beats
        clock, signer = SteppedClock(), Signer(Ed25519PrivateKey.generate())
        trail = PostgresTrail(pool)

        async def load() -> Signer:
            return signer

        settings = KeeperSettings(batch_entries=4_096, checkpoint_entries=checkpoint_entries)
        keeper = AuditKeeper(trail, FilePlace(place), load, leases, membership, clock, settings)
        fence = (await leases.acquire([AUDIT_LEASE], 1))[AUDIT_LEASE]
        yield TrailWorld(
            pool, place, trail, PostgresProvableAudit(pool), Lease(AUDIT_LEASE, fence), keeper, clock, signer
        )

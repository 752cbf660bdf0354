"""A tenant whose key of erased people does not open: its events wait, nobody else's do, and go on when it opens."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.ingest.days import World as LogWorld
from tests.integration.ingest.days import world as log_world
from tests.integration.sync.vaulted import VaultWorld, vault_world
from tests.integration.sync.whole import POLICY
from tests.unit.ingest.arrivals import well_formed

from headwater.ingest.domain.minting import mint
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import NotFound
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.domain.erasing import digest_of
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.log import START
from headwater.sync.domain.reading import Answers, Subject
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.parking import Parking
from headwater.sync.projector.suppressing import Suppressions
from headwater.sync.store.operations import PostgresOperations
from headwater.sync.store.parked import PostgresParked
from headwater.sync.store.projection import PostgresLog, PostgresProjections
from headwater.sync.store.suppression_keys import PostgresSuppressionKeys
from headwater.sync.store.suppressions import PostgresSuppressions
from headwater.sync.usecases.operations import Operations

pytestmark = pytest.mark.anyio

LOCKED, FREE = "acme", "globex"
GONE, KEPT = "ada@one.example.com", "bo@two.example.com"
SHARDS = range(16)
SUPPRESS = "insert into sync.suppression (tenant_id, digest, kind, erasure_id) values ($1, $2, 'email', $3)"


class _Homes:
    """Identity's answers: every record is an entity of its own."""

    async def resolve(self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]) -> Answers:
        """Answer."""
        homes = {
            subject.key: uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant_id}{subject.key}")
            for subject, _ in subjects
        }
        return Answers(homes, 0)


class _Policies:
    """The policy of both tenants."""

    def __init__(self) -> None:
        self._policy = load_policy(POLICY.replace("${url}", "http://127.0.0.1:9"))

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return it."""
        return {LOCKED: self._policy, FREE: self._policy}


@dataclass(slots=True)
class Stand:
    """A log, a vault whose ring can be taken away, and a projector of all shards."""

    vault: VaultWorld
    entries: LogWorld
    log: PostgresLog
    projector: BatchProjector
    parking: Parking
    held: dict[int, Lease]

    async def record(self, tenant_id: str, **people: str) -> list[str]:
        """Record contacts, by name to address; return the keys."""
        events = [
            mint(tenant_id, well_formed({"email": mail}, source="erp", external_id=name), violations=())
            for name, mail in people.items()
        ]
        await self.entries.log.append(events)
        return [str(uuid.UUID(bytes=event.event_key)) for event in events]

    async def project(self) -> None:
        """Project what the log has behind the cursors."""
        after = await self.log.read_cursors(list(SHARDS))
        events = (await self.log.read_events(after, 100)).events
        await self.projector.project(
            [self.held[item] for item in sorted({one.shard for one in events})], events
        )

    async def rules(self) -> dict[str, str]:
        """Return how events ended, by key."""
        rows = await self.vault.pool.fetch("select event_key, rule from sync.projection")
        return {str(row["event_key"]): row["rule"] for row in rows}

    async def cursors(self) -> Any:
        """Return how far the shards are projected."""
        return await self.log.read_cursors(list(SHARDS))


@pytest.fixture
async def stand(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[Stand]:
    """One tenant has erased somebody, and its key is sealed; the other has not."""
    async with (
        vault_world(migrated_database_url, tmp_path) as vault,
        log_world(migrated_database_url) as entries,
    ):
        leases = [Lease(f"shard/{shard}", 3) for shard in SHARDS]
        await vault.pool.executemany(
            "insert into sync.lease (name, holder, fence, expire_time) values ($1, 'test', $2, $3)",
            [(lease.name, lease.fence, dt.datetime(2100, 1, 1, tzinfo=dt.UTC)) for lease in leases],
        )
        key = await PostgresSuppressionKeys(vault.pool, vault.vault).key(LOCKED)
        await vault.pool.execute(SUPPRESS, LOCKED, digest_of(key, ("email", (GONE,))), uuid.uuid4())
        keys = PostgresSuppressionKeys(vault.pool, vault.another())
        suppressions = Suppressions(PostgresSuppressions(vault.pool, keys))
        spans = start_telemetry("sync", TelemetrySettings(), environ={}).spans
        projector = BatchProjector(
            PostgresProjections(vault.pool),
            _Homes(),
            _Policies(),
            spans,
            SystemClock(),
            suppressions=suppressions,
        )
        parking = Parking(PostgresParked(vault.pool), projector, suppressions)
        log = PostgresLog(vault.pool)
        yield Stand(vault, entries, log, projector, parking, dict(zip(SHARDS, leases, strict=True)))


async def test_events_of_a_tenant_whose_key_does_not_open_wait_alone(stand: Stand) -> None:
    """The other tenant's are projected; it is said what is missing; nobody erased comes back when it is there."""
    away = stand.vault.path.rename(stand.vault.path.with_suffix(".away"))
    locked = await stand.record(LOCKED, c1=GONE, c2=KEPT)
    free = await stand.record(FREE, c1=GONE, c2=KEPT)
    await stand.project()
    assert await stand.rules() == dict.fromkeys(free, "projected")
    assert await stand.parking.take_up(stand.held) == 0

    operations = PostgresOperations(stand.vault.pool)
    status = await operations.read_status(LOCKED)
    assert (status.events_parked, status.events_waiting) == (2, 0)
    assert "headwater vault status" in status.parked_reason
    assert (await operations.read_status(FREE)).events_parked == 0
    with pytest.raises(NotFound, match="waits: the key that knows erased people of tenant 'acme'"):
        await Operations(operations, _Policies(), SystemClock()).fate(LOCKED, uuid.UUID(locked[0]))

    away.rename(stand.vault.path)
    before = await stand.cursors()
    assert await stand.parking.take_up(stand.held) == 2
    assert await stand.rules() == dict.fromkeys(free, "projected") | dict(
        zip(locked, ["suppressed", "projected"], strict=True)
    )
    assert await stand.cursors() == before
    assert (await operations.read_status(LOCKED)).events_parked == 0
    assert await stand.parking.take_up(stand.held) == 0


async def test_what_waits_is_not_dropped_from_the_log(stand: Stand) -> None:
    """The log is told of a place before the first that waits, of its shard alone."""
    away = stand.vault.path.rename(stand.vault.path.with_suffix(".away"))
    await stand.record(LOCKED, c1=KEPT)
    await stand.project()
    (shard,) = [number for number, place in (await stand.cursors()).items() if place != START]
    await stand.record(FREE, **{f"c{number}": KEPT for number in range(40)})
    await stand.project()
    reached = await stand.cursors()
    await stand.log.report_positions(reached)
    told = await _told(stand)
    (waiting,) = await stand.vault.pool.fetch("select xid, seq from sync.parked")
    assert told[shard] == (waiting["xid"], waiting["seq"] - 1)
    assert {number: place for number, place in told.items() if number != shard} == {
        number: tuple(place) for number, place in reached.items() if number != shard
    }
    away.rename(stand.vault.path)
    await stand.parking.take_up(stand.held)
    await stand.log.report_positions(reached)
    assert await _told(stand) == {number: tuple(place) for number, place in reached.items()}


async def test_a_log_that_is_projected_again_takes_up_nothing_twice(stand: Stand) -> None:
    """What waits is left to the log until that has come to it; what was projected since is forgotten."""
    away = stand.vault.path.rename(stand.vault.path.with_suffix(".away"))
    (locked,) = await stand.record(LOCKED, c1=KEPT)
    await stand.project()
    away.rename(stand.vault.path)
    cursors = await stand.vault.pool.fetch("delete from sync.shard_cursor returning shard, xid, seq")
    assert await stand.parking.take_up(stand.held) == 0
    await stand.project()
    assert await stand.rules() == {locked: "projected"}
    assert await stand.vault.pool.fetch("select shard, xid, seq from sync.shard_cursor") == cursors
    assert await stand.parking.take_up(stand.held) == 0
    assert await stand.vault.pool.fetchval("select count(*) from sync.parked") == 0


async def _told(stand: Stand) -> dict[int, tuple[int, int]]:
    rows = await stand.vault.pool.fetch("select shard, xid::text::bigint as xid, seq from ingest.reader")
    return {row["shard"]: (row["xid"], row["seq"]) for row in rows}

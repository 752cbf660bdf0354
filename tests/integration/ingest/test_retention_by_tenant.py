"""What a tenant's policy keeps for a shorter time than the log's days: gone, while keys, order and other tenants stay."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from tests.integration.ingest.days import SHARDS, World, world
from tests.integration.ingest.world import POLICY, policy_event, service, settings
from tests.unit.ingest.arrivals import TENANT, well_formed

from headwater.ingest.archiving import FileArchive, read_archive
from headwater.ingest.domain.days import Keeping
from headwater.ingest.domain.event import Disposition, NewEvent
from headwater.ingest.domain.minting import mint
from headwater.ingest.maintenance import run
from headwater.ingest.ports import Archive
from headwater.ingest.settings import IngestSettings
from headwater.ingest.store.days import PostgresDays
from headwater.ingest.usecases.expiring import Expiry, ExpirySettings
from headwater.ingest.usecases.keeping import Keeper, KeeperSettings
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import FieldViolation
from headwater.kernel.service import open_database

pytestmark = pytest.mark.anyio
OTHER = "globex"
BROKEN = (FieldViolation("event.payload.email", "canary@x", "format.email", "must be an address"),)
DUPLICATE = Disposition.DUPLICATE
AUDITED = "SELECT tenant_id, changes::text FROM sync.audit WHERE action = 'events_expired' ORDER BY tenant_id"


def _event(tenant: str, number: int, *, broken: bool = False) -> NewEvent:
    payload = {"email": f"canary-{tenant}@x.example", "text": "x" * 500}
    arrived = well_formed(payload, external_id=f"{tenant}-{number}")
    return mint(tenant, arrived, violations=BROKEN if broken else ())


async def _old_day(log: World, *, broken: bool = False, rows: int = 40) -> dt.date:
    """Record events of two tenants, mixed, open the day 31 days later and seal the first; return it."""
    events = [_event(tenant, number) for number in range(rows) for tenant in (TENANT, OTHER)]
    if broken:
        events.append(_event(TENANT, rows, broken=True))
    await log.fates(events)
    day = await log.today()
    assert await log.days.roll(day + dt.timedelta(days=31))
    await log.seal(rows=7)
    return day


def _expiry(log: World, days: dict[str, int], archive: Archive | None = None) -> Expiry:
    keepings = [Keeping(tenant, kept) for tenant, kept in days.items()]
    return Expiry(log.days, archive, lambda: keepings, ExpirySettings(pages=1))


async def _held(log: World) -> dict[str, int]:
    rows = await log.pool.fetch("SELECT tenant_id, count(*) AS n FROM ingest.event GROUP BY tenant_id")
    return {row["tenant_id"]: row["n"] for row in rows}


async def _audited(log: World) -> list[tuple[str, dict[str, Any]]]:
    rows = await log.pool.fetch(AUDITED)
    return [
        (row["tenant_id"], {item["field"]: item["after"] for item in json.loads(row["changes"])})
        for row in rows
    ]


async def test_what_a_tenant_says_goes_after_its_time_and_nothing_else(migrated_database_url: str) -> None:
    """Keys stay, other tenants stay, readers lose their place nowhere, the audit is told once."""
    async with world(migrated_database_url) as log:
        day = await _old_day(log)
        await log.read_all()
        expiry = _expiry(log, {TENANT: 30, OTHER: 90})
        today = await log.today()
        assert [(item.tenant_id, item.rows) for item in await expiry.due(today)] == [(TENANT, 40)]
        assert await expiry.expire(today) == 1
        assert await _held(log) == {OTHER: 40}
        assert await log.fates([_event(TENANT, 3)]) == [DUPLICATE]
        assert sorted(await log.replay()) == sorted(f"{OTHER}-{number}" for number in range(40))
        assert await log.pool.fetchval("SELECT ingest.count_accepted($1)", TENANT) == 40
        for _ in range(2):
            await expiry.tell()
        told = {"#day": day.isoformat(), "#events": 40, "#archive": ""}
        assert await _audited(log) == [(TENANT, told)]
        _, kept = await expiry.kept(TENANT, today)
        assert (kept.rows, kept.due_rows, kept.expired_rows, kept.oldest_day) == (0, 0, 40, None)
        assert kept.expire_time is not None
        assert (await log.days.list_days())[0].rows == 40
        assert await expiry.due(today) == []


async def test_a_day_goes_a_stretch_at_a_time_and_after_a_crash_where_it_was(
    migrated_database_url: str,
) -> None:
    """Each transaction deletes what is in a few pages; whoever goes on deletes the rest, once."""
    async with world(migrated_database_url) as log:
        day = await _old_day(log)
        await log.read_all()
        left = []
        while await log.days.expire_some(day, [TENANT], ["sync"], 1) == "moved":
            left.append((await _held(log)).get(TENANT, 0))
            if len(left) == 2:
                break
        assert 0 < left[1] < left[0] < 40
        keeper = _keeper(log, _expiry(log, {TENANT: 30}))
        await keeper.look()
        assert await _held(log) == {OTHER: 40}
        assert [changes["#events"] for _, changes in await _audited(log)] == [40]


async def test_nothing_goes_that_a_reader_has_not_read(migrated_database_url: str) -> None:
    """It is due and shown with the reader's name, and goes once it was read."""
    async with world(migrated_database_url) as log:
        await _old_day(log)
        expiry, today = _expiry(log, {TENANT: 30}), await log.today()
        assert await expiry.expire(today) == 0
        _, kept = await expiry.kept(TENANT, today)
        assert kept.due_rows == 40
        assert kept.blockers == ("reader sync has never reported shard 0",)
        await log.report(dict.fromkeys(SHARDS, (0, 0)))
        assert await expiry.expire(today) == 0
        await log.read_all()
        assert await expiry.expire(today) == 1
        assert await _held(log) == {OTHER: 40}


async def test_an_open_quarantine_entry_holds_its_own_event_alone(migrated_database_url: str) -> None:
    """Decided about, the event goes, and the value that the entry showed."""
    async with world(migrated_database_url) as log:
        await _old_day(log, broken=True)
        await log.read_all()
        expiry, today = _expiry(log, {TENANT: 30}), await log.today()
        await expiry.expire(today)
        assert await _held(log) == {OTHER: 40, TENANT: 1}
        _, kept = await expiry.kept(TENANT, today)
        assert (kept.due_rows, kept.held_rows) == (1, 1)
        assert not [item for item in await expiry.due(today) if item.ready]
        await log.pool.execute(
            "UPDATE ingest.quarantine SET state = 3, discard_reason = 'no', close_time = now()"
        )
        await expiry.expire(today)
        assert await _held(log) == {OTHER: 40}
        shown = await log.pool.fetchval("SELECT violations::text FROM ingest.quarantine")
        assert "format.email" in shown
        assert "canary" not in shown


async def test_an_archive_is_written_before_the_events_go(migrated_database_url: str, tmp_path: Path) -> None:
    """Of the tenant alone; a hook that refuses it keeps the events; a policy may want none."""
    async with world(migrated_database_url) as log:
        day = await _old_day(log)
        await log.read_all()
        today = await log.today()
        await _expiry(log, {TENANT: 30}, FileArchive(tmp_path, command="false")).expire(today)
        assert await _held(log) == {OTHER: 40, TENANT: 40}
        keepings = [Keeping(TENANT, 30), Keeping(OTHER, 30, archive=False)]
        expiry = Expiry(log.days, FileArchive(tmp_path), lambda: keepings, ExpirySettings())
        assert await expiry.expire(today) == 2
        await expiry.tell()
        path = tmp_path / f"event_{day:%Y%m%d}.{TENANT}.jsonl.gz"
        assert {fact["tenant_id"] for fact in read_archive(path)} == {TENANT}
        assert len(read_archive(path)) == 40
        assert await _held(log) == {}
        assert {tenant: changes["#archive"] for tenant, changes in await _audited(log)} == {
            TENANT: str(path),
            OTHER: "",
        }


async def test_a_day_is_archived_and_dropped_after_a_tenant_left_it(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """The whole day's archive has what is left, and is believed."""
    async with world(migrated_database_url) as log:
        day = await _old_day(log)
        await log.read_all()
        expiry = Expiry(log.days, None, lambda: [Keeping(TENANT, 7)], ExpirySettings(30))
        await _keeper(log, expiry, FileArchive(tmp_path)).look()
        assert [item.state for item in await log.days.list_days()] == ["dropped", "open"]
        facts = read_archive(tmp_path / f"event_{day:%Y%m%d}.jsonl.gz")
        assert {fact["tenant_id"] for fact in facts} == {OTHER}
        assert len(facts) == 40


async def test_a_policy_that_keeps_longer_holds_the_drop_back(migrated_database_url: str) -> None:
    """Such a policy is refused; one that is older than the setting is not broken in silence."""
    async with world(migrated_database_url) as log:
        await _old_day(log)
        await log.read_all()
        keepings = [Keeping(TENANT, 400), Keeping("nobody-there", 400)]
        expiry = Expiry(log.days, None, lambda: keepings, ExpirySettings(30))
        keeper = _keeper(log, expiry)
        await keeper.look()
        assert [item.state for item in await log.days.list_days()] == ["sealed", "open"]
        del keepings[0]
        await keeper.look()
        assert [item.state for item in await log.days.list_days()] == ["dropped", "open"]


async def test_a_row_that_moved_behind_the_sweep_is_found(migrated_database_url: str) -> None:
    """An erasure beside it writes a new version of a row where the sweep has been."""
    async with world(migrated_database_url) as log:
        day = await _old_day(log)
        await log.read_all()
        assert await log.days.expire_some(day, [TENANT], ["sync"], 1) == "moved"
        await log.pool.execute(f"VACUUM ingest.event_{day:%Y%m%d}")
        further = "SELECT array_agg(event_key) FROM ingest.event WHERE tenant_id = $1 AND ctid >= '(3,0)'"
        await log.pool.execute(f"SELECT ingest.erase_events($1, ({further}))", TENANT)
        behind = "SELECT count(*) FROM ingest.event WHERE tenant_id = $1 AND ctid < '(1,0)'"
        assert await log.pool.fetchval(behind, TENANT) > 0
        expiry, today = _expiry(log, {TENANT: 30}), await log.today()
        for _ in range(2):
            await expiry.expire(today)
        assert await _held(log) == {OTHER: 40}
        assert await expiry.due(today) == []


async def test_the_service_s_own_role_may_do_it_and_a_tenant_sees_its_own(migrated_database_url: str) -> None:
    """With the rights that it has when it runs, and no more."""
    async with world(migrated_database_url) as log:
        await _old_day(log)
        await log.read_all()
        today = await log.today()
    given = IngestSettings.model_validate({"HEADWATER_DATABASE_URL": migrated_database_url})
    async with await open_database("ingest", given, size_min=1, size_max=2) as pool:
        days = PostgresDays(pool, acquire_timeout_s=5)
        expiry = Expiry(days, None, lambda: [Keeping(TENANT, 30)], ExpirySettings())
        assert await expiry.expire(today) == 1
        await expiry.tell()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM ingest.tenant_day")


async def test_a_policy_says_it_an_operator_previews_it_and_the_status_shows_it(
    migrated_database_url: str,
) -> None:
    """A dry run changes nothing; done, the status has nothing due; where records live is shown beside."""
    written = POLICY + "\nretention: {days: 30}\nresidency: {region: eu}\n"
    asked = ingest_pb2.GetIngestStatusRequest(tenant_id=TENANT)
    async with world(migrated_database_url) as log:
        async with service(migrated_database_url, policy=written) as caller:
            day = (await _old_day(log)).isoformat()
            status = await caller.stub.GetIngestStatus(asked)
            assert (status.retention.days, status.retention.oldest_day) == (30, day)
            assert (status.retention.kept_events, status.retention.due_events) == (41, 0)
            assert status.residency.region == "eu"
        await log.read_all()
        given = settings(migrated_database_url)
        later = SteppedClock(dt.datetime.now(dt.UTC) + dt.timedelta(days=31))
        due = {"tenant_id": TENANT, "day": day, "events": 41, "held": 0, "archived_first": False}
        for words, left, stands in ((["expire"], 41, 81), (["expire", "yes"], 0, 40)):
            said = await run(words, given, later)
            assert said["due"] == [due | {"left": left, "blockers": []}]
            assert sum((await _held(log)).values()) == stands
        assert await run(["expire"], given, later) == {"due": [], "dry_run": True}
        async with service(
            migrated_database_url, policy=None, retention_days=7, archive_dir="none"
        ) as caller:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await caller.record(policy_event(written, number=1))
            assert "retention_longer" in str(refused.value)
            status = await caller.stub.GetIngestStatus(asked)
            assert (status.retention.days, status.retention.log_days) == (30, 7)
            assert (status.retention.kept_events, status.retention.expired_events) == (0, 41)


def _keeper(log: World, expiry: Expiry, archive: Archive | None = None) -> Keeper:
    retention = expiry.retention_days
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)
    clock = SteppedClock(moment)
    return Keeper(
        log.days, archive, clock, KeeperSettings(retention_days=retention), random.Random(1), expiry
    )

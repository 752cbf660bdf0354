"""Backfills as a whole: a stretch of time is read once, beside live traffic, and goes on after whatever stops it."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import grpc
import pytest
from tests.integration.sync.backfilled import ACTOR, NAMES, OBJECTS, Tenant, policy_of, serving, tenant
from tests.integration.sync.test_two_way import VENDORS, sandbox
from tests.integration.sync.whole import TENANT, doors, looking, settled, until

from headwater.sync.v1 import backfills_pb2 as pb

if TYPE_CHECKING:
    from tests.contract.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]
__all__ = ["sandbox"]

MANY = 230
"""More than a page, made a hundred in one moment each."""


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_backfill_records_everything_once_in_its_own_lane(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Every record, known ones by their key the second time; deliveries wait behind live ones."""
    async with tenant(vendor, migrated_database_url, sandbox) as acme:
        await acme.only_asked()
        acme.make(range(MANY))
        await acme.connection.execute(
            "insert into sync.connector_state (tenant_id, connector, paused) values ($1, 'target', true)"
            " on conflict (tenant_id, connector) do update set paused = true",
            TENANT,
        )
        done = await acme.ended(await acme.begin())
        assert (done.state, done.finding) == (pb.BACKFILL_STATE_DONE, "")
        (part,) = done.parts
        assert (part.expected_count, part.read_count, part.accepted_count) == (MANY, MANY, MANY)
        assert await acme.held() == acme.in_crm()
        lanes = await acme.connection.fetch("select lane, count(*) as n from sync.due group by lane")
        assert [(row["lane"], row["n"]) for row in lanes] == [(3, MANY)]
        (again,) = (await acme.ended(await acme.begin())).parts
        assert (again.accepted_count, again.duplicate_count) == (0, MANY)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_backfill_crosses_live_traffic(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """What changes meanwhile and is polled wins, whichever is told last; nothing is doubled in the other CRM."""
    async with tenant(vendor, migrated_database_url, sandbox, calls=20, page=20) as acme:
        ids = acme.make(range(MANY))
        begun = await acme.begin()

        async def started() -> bool:
            return bool((await acme.get(begun)).parts[0].read_count)

        await until(started, 20)
        last = NAMES[vendor][2]
        for crm_id in (ids[0], ids[MANY // 2], ids[-1]):
            acme.change(crm_id, **{last: f"Changed{crm_id}"})
        await acme.poll()
        assert (await acme.ended(begun)).state == pb.BACKFILL_STATE_DONE

        async def caught_up() -> bool:
            await acme.poll()
            return await acme.held() == acme.in_crm()

        await until(caught_up, 20)
        await until(partial(settled, acme.connection), 30)
        other = "salesforce" if vendor == "hubspot" else "hubspot"
        told = sandbox.client.get(sandbox.admin(other, TENANT, "records")).json()["records"][OBJECTS[other]]
        assert sorted(item["fields"][NAMES[other][2]] for item in told) == sorted(acme.in_crm().values())


async def test_a_dry_run_counts_and_records_nothing(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Records of the stretch and the calls they take; one page and a bit are two calls."""
    async with tenant("hubspot", migrated_database_url, sandbox) as acme:
        acme.make(range(MANY))
        done = await acme.ended(await acme.begin(dry_run=True))
        assert done.state == pb.BACKFILL_STATE_DONE
        assert (done.parts[0].expected_count, done.parts[0].predicted_calls, done.call_count) == (MANY, 3, 1)
        assert await acme.connection.fetchval("select count(*) from ingest.event where source = 'crm'") == 0
        long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        none = await acme.ended(await acme.begin(dry_run=True, since_time=long_ago, until_time=long_ago))
        assert none.parts[0].expected_count == 0


async def test_a_paused_backfill_goes_on_where_it_stopped(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Pause holds it between two pages, resume goes on at another share, and cancel ends it for good."""
    async with tenant("hubspot", migrated_database_url, sandbox, calls=4, page=20) as acme:
        acme.make(range(MANY))
        begun = await acme.begin()

        async def started() -> bool:
            return bool((await acme.get(begun)).parts[0].read_count)

        await until(started, 20)
        named: dict[str, Any] = {"tenant_id": TENANT, "backfill_id": begun, "actor": ACTOR}
        paused = (await acme.backfills.PauseBackfill(pb.PauseBackfillRequest(**named), timeout=10)).backfill
        assert paused.state == pb.BACKFILL_STATE_PAUSED
        assert 0 < paused.parts[0].read_count < MANY
        await acme.backfills.ResumeBackfill(pb.ResumeBackfillRequest(share=0.9, **named), timeout=10)
        second = await acme.begin()
        ended: dict[str, Any] = {"tenant_id": TENANT, "backfill_id": second, "actor": ACTOR}
        await acme.backfills.CancelBackfill(pb.CancelBackfillRequest(**ended), timeout=10)
        done = await acme.ended(begun, 40)
        assert (done.state, done.share) == (pb.BACKFILL_STATE_DONE, 0.9)
        assert done.parts[0].accepted_count + done.parts[0].duplicate_count >= MANY
        assert await acme.held() == acme.in_crm()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await acme.backfills.ResumeBackfill(pb.ResumeBackfillRequest(**ended), timeout=10)
        assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        actions = await acme.connection.fetch(
            "select action from sync.audit where action like 'backfill%' order by audit_id"
        )
        assert [row["action"] for row in actions] == [
            "backfill_started", "backfill_paused", "backfill_resumed", "backfill_started", "backfill_cancelled",
            "backfill_done",
        ]  # fmt: skip


async def test_an_outage_in_the_middle_is_waited_for(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """The CRM answers with faults for a while: the backfill says so, and goes on by itself."""
    async with tenant("hubspot", migrated_database_url, sandbox, page=20) as acme:
        acme.make(range(MANY))
        sandbox.faults("hubspot", TENANT, {"kind": "error_5xx", "count": 2, "status": 503})
        begun = await acme.begin()

        async def told() -> bool:
            return "server" in (await acme.get(begun)).finding

        await until(told, 20)
        done = await acme.ended(begun)
        assert (done.state, done.finding) == (pb.BACKFILL_STATE_DONE, "")
        assert await acme.held() == acme.in_crm()


async def test_another_process_goes_on_where_one_ended(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """The row says where; the cursor stands behind what is recorded, so no record is missing or doubled."""
    url = migrated_database_url
    sandbox.empty("hubspot", TENANT)
    async with doors(url) as world, looking(url) as connection:
        await world.record([policy_of("hubspot", sandbox.url, calls=10, page=20)])
        async with serving("hubspot", url, world, sandbox, connection) as acme:
            acme.make(range(MANY))
            begun = await acme.begin()

            async def started() -> bool:
                return (await acme.get(begun)).parts[0].read_count >= 40

            await until(started, 20)
        before = await connection.fetchval("select read_count from sync.backfill_part")
        assert before < MANY
        async with serving("hubspot", url, world, sandbox, connection) as successor:
            done = await successor.ended(begun)
            assert done.state == pb.BACKFILL_STATE_DONE
            assert done.parts[0].read_count == MANY
            assert await successor.held() == successor.in_crm()
            events = await connection.fetchval("select count(*) from ingest.event where source = 'crm'")
            assert events == MANY


async def test_the_command_counts_follows_and_says_how_it_ended(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """A dry run predicts; the run itself is followed to its end; the list knows both, the newest first."""
    async with tenant("hubspot", migrated_database_url, sandbox) as acme:
        acme.make(range(150))
        dry = await command(acme, "backfill", "source", "--share", "1", "--dry-run")
        (part,) = dry["parts"]
        assert (part["expected_count"], part["predicted_calls"], dry["dry_run"]) == ("150", "2", True)
        done = await command(acme, "backfill", "source", "--share", "1", "--object", "contacts")
        told = sum(
            int(done["parts"][0][f"{fate}_count"]) for fate in ("accepted", "duplicate")
        )  # a poll may be first
        assert (done["state"], told) == ("BACKFILL_STATE_DONE", 150)
        listed = (await command(acme, "backfills", "list"))["backfills"]
        assert [item["backfill_id"] for item in listed] == [done["backfill_id"], dry["backfill_id"]]


async def command(acme: Tenant, *words: str) -> dict[str, Any]:
    """Run `headwater` with *words* and return the document that it prints."""
    environment = {**os.environ, "HEADWATER_SYNC_ADDRESS": acme.address, "PYTHONPATH": "services:."}
    ran = await anyio.run_process(
        [sys.executable, "-m", "headwater.cli", *words, "--tenant", TENANT, "--json"], env=environment
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    return told

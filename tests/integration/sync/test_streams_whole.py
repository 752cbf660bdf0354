"""Salesforce listened to through the whole engine: what changes there is here, whatever becomes of the stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync import test_two_way as two_way
from tests.integration.sync.backfilled import ACTOR, Tenant, policy_of, serving, tenant
from tests.integration.sync.test_two_way import sandbox
from tests.integration.sync.whole import TENANT, Doors, doors, event, looking, settled, syncing, until

from headwater.sync.v1 import schedules_pb2 as pb

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]
__all__ = ["sandbox"]

STREAM: Final = "stream/source/ContactChangeEvent"
POLL: Final = "poll/source/Contact"
EVENTS: Final = "select count(*) from ingest.event where source = 'crm'"
MARK: Final = "select mark from sync.stream"


def events_of(sandbox: SandboxProcess) -> str:
    """Return the policy's part that listens to *sandbox*, after making it tell often that nothing is new."""
    sandbox.token("salesforce", TENANT)
    sandbox.options("salesforce", TENANT, event_keepalive_s=0.05, event_retention_s=259_200)
    return f'{{pubsub: {{address: "{sandbox.events_address}"}}}}'


async def schedule(acme: Tenant, name: str) -> pb.Schedule:
    """Return a schedule as operators see it."""
    found = (
        await acme.schedules.ListSchedules(pb.ListSchedulesRequest(tenant_id=TENANT), timeout=10)
    ).schedules
    return next(item for item in found if item.name == name)


async def marked(acme: Tenant, unlike: str = "") -> str:
    """Return the stream's mark, once it is another than *unlike*."""

    async def moved() -> bool:
        return (await acme.connection.fetchval(MARK) or "") not in {"", unlike}

    await until(moved, 20)
    mark: str = await acme.connection.fetchval(MARK)
    return mark


def same(acme: Tenant) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether we hold what the CRM holds."""

    async def equal() -> bool:
        return await acme.held() == acme.in_crm()

    return equal


async def test_changes_are_told_without_a_poll_through_every_fault_of_the_stream(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Cut, lost, as gaps, with an expired token: all is here, one event a state; operators see that it listens."""
    async with tenant("salesforce", migrated_database_url, sandbox, events=events_of(sandbox)) as acme:
        await marked(acme)
        ids = acme.make(range(3))
        await until(same(acme), 20)
        for number, kind in enumerate(("stream_cut", "batch_lost", "event_gap", "token_expire_now")):
            sandbox.faults("salesforce", TENANT, {"kind": kind, "count": 1, "path": "PubSub"})
            acme.change(ids[0], LastName=f"Newer{number}")
            await until(same(acme), 20)
        runs = (await schedule(acme, POLL)).run_count
        standing = await schedule(acme, STREAM)
        assert standing.kind == "stream"
        assert standing.detail.startswith("listening: ")
        told = await acme.connection.fetchval("select wanted_count from sync.stream")
        assert told >= 7
        states = "select count(*) from (select distinct external_id, payload, event_time from ingest.event where source = 'crm') as one"
        assert await acme.connection.fetchval(EVENTS) == await acme.connection.fetchval(states)
        assert runs <= 2  # when the stream began


async def test_what_changes_while_nobody_listens_is_told_after_a_restart(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """The mark is durable: the successor goes on behind it, and a poll is not needed."""
    events = events_of(sandbox)
    async with doors(migrated_database_url) as world, looking(migrated_database_url) as connection:
        async with tenant_of(world, migrated_database_url, sandbox, connection, events) as acme:
            await marked(acme)
            ids = acme.make(range(2))
            await until(same(acme), 20)
            mark = await marked(acme)
        acme.change(ids[0], LastName="While away")
        async with serving("salesforce", migrated_database_url, world, sandbox, connection) as acme:
            await until(same(acme), 20)
            assert await marked(acme, mark) != mark
            assert await acme.connection.fetchval("select lost_count from sync.stream") == 0


async def test_a_place_that_the_vendor_has_forgotten_is_caught_up_with_by_a_poll(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Away for longer than events are kept: the poller is called, and the stream goes on from now."""
    events = events_of(sandbox)
    async with doors(migrated_database_url) as world, looking(migrated_database_url) as connection:
        async with tenant_of(world, migrated_database_url, sandbox, connection, events) as acme:
            await marked(acme)
            ids = acme.make(range(2))
            await until(same(acme), 20)
        acme.change(ids[0], LastName="Forgotten")
        sandbox.options("salesforce", TENANT, event_retention_s=0)
        async with serving("salesforce", migrated_database_url, world, sandbox, connection) as acme:

            async def lost() -> bool:
                return bool(await acme.connection.fetchval("select lost_count > 0 from sync.stream"))

            await until(lost, 20)
            sandbox.options("salesforce", TENANT, event_retention_s=259_200)
            await until(same(acme), 30)
            await marked(acme)
            acme.change(ids[1], LastName="And on")
            await until(same(acme), 20)


async def test_an_operator_ends_and_resumes_listening(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """A paused stream is closed; resumed, it tells what it missed."""
    async with tenant("salesforce", migrated_database_url, sandbox, events=events_of(sandbox)) as acme:
        await marked(acme)
        pause = pb.PauseScheduleRequest(tenant_id=TENANT, name=STREAM, actor=ACTOR)
        await acme.schedules.PauseSchedule(pause, timeout=10)

        async def ended() -> bool:
            return "operator" in (await schedule(acme, STREAM)).detail

        await until(ended, 20)
        acme.make(range(2))
        resume = pb.ResumeScheduleRequest(tenant_id=TENANT, name=STREAM, actor=ACTOR)
        await acme.schedules.ResumeSchedule(resume, timeout=10)
        run = pb.RunScheduleRequest(tenant_id=TENANT, name=STREAM, actor=ACTOR)
        await acme.schedules.RunSchedule(run, timeout=10)
        await until(same(acme), 20)


async def test_our_own_writes_come_back_over_the_stream_and_change_nothing(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Whose change it was is not asked (a trigger of the CRM's changes fields under our name): what was read is judged."""
    url, events = migrated_database_url, events_of(sandbox)
    sandbox.empty("salesforce", TENANT)
    document = json.loads(two_way.policy_of("salesforce", sandbox.url).payload)["document"]
    listening = document.replace("    poll: {", f"    events: {events}\n    poll: {{")
    async with doors(url) as world, looking(url) as connection:
        await world.record([event("headwater", "policy", TENANT, document=listening)])
        async with syncing(url, world.identity_address, ingest_address=world.ingest_address):

            async def listens() -> bool:
                return bool(await connection.fetchval(MARK))

            await until(listens, 20)
            await world.record([event("erp", "contact", "e1", **two_way.ADA)])

            async def came_back() -> bool:
                read = await connection.fetchval("select count(*) from sync.record_fetch") == 0
                ruled = await connection.fetchval("select count(*) from sync.ruling") > 0
                return bool(read and ruled and await settled(connection))

            await until(came_back, 30)
            assert [line["effect"] for line in sandbox.arrivals("salesforce", TENANT)] == ["created"]
            assert await connection.fetchval("select count(*) from sync.entity") == 1


@asynccontextmanager
async def tenant_of(
    world: Doors, url: str, sandbox: SandboxProcess, connection: Any, events: str
) -> AsyncIterator[Tenant]:
    """Run sync with a policy that listens, over services that go on after it."""
    for vendor in ("salesforce", "hubspot"):
        sandbox.empty(vendor, TENANT)
    await world.record([policy_of("salesforce", sandbox.url, events=events)])
    async with serving("salesforce", url, world, sandbox, connection) as acme:
        yield acme

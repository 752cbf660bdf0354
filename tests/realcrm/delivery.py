"""One run: people and deals through ingest, identity, policy and delivery into a real BottleCRM that is busy, restarts
and loses answers; then what people change there is polled back. What BottleCRM holds is read from its own database.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import anyio
import asyncpg
import grpc
from anyio import to_thread
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync.ground import LOOK_S, World, open_ground, until
from tests.realcrm import people
from tests.realcrm.proxy import Proxy
from tests.realcrm.server import BottleCrm, Org, bottle_crm

from headwater.event.v1 import event_pb2
from headwater.sync.v1 import schedules_pb2, schedules_pb2_grpc

BUSY_EVERY: Final = 40
SETTLE_S_MAX: Final = 1_500.0
POLL_S_MAX: Final = 300.0
TRIES_MAX: Final = 20
"""Rounds of a poll until one meets no 429."""
CHANGED: Final = 40
MADE: Final = 10
DELETED: Final = 5
ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1")
UNSETTLED: Final = "select exists (select from sync.delivery where state in (1, 3, 4)) or exists (select from sync.due where lane in (0, 3))"
PROJECTED: Final = "select count(*) from sync.projection"
_CONTACTS: Final = (
    "select email, first_name, last_name, phone, title, custom_fields ->> 'headwater_id' as key, id::text from contacts"
    " where org_id = $1::uuid"
)
_ENDED: Final = (
    "select done.rule, count(*) as events from sync.projection as done inner join ingest.event as log"
    " using (tenant_id, event_key) where log.source = $1 group by done.rule"
)
_DEALS: Final = (
    "select deal.name, deal.amount, deal.currency, deal.closed_on::text, deal.custom_fields ->> 'headwater_id' as key,"
    " coalesce(array_agg(person.email) filter (where person.id is not null), '{}') as people"
    " from opportunity as deal left join opportunity_contacts as link on link.opportunity_id = deal.id"
    " left join contacts as person on person.id = link.contact_id where deal.org_id = $1::uuid group by deal.id"
)


@dataclass(slots=True)
class Delivered:
    """What one run came to; shares of 1 are whole, everything else counts."""

    contacts: int
    deals: int
    seconds: float = 0.0
    held_contacts: int = 0
    held_deals: int = 0
    surplus: int = 0
    contacts_equal: float = 0.0
    deals_equal: float = 0.0
    busy: int = 0
    lost: int = 0
    gateway: int = 0
    restarts: int = 0
    stuck: int = 0
    echoes_written: int = 0
    polled_share: float = 0.0
    polled_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    rules: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """The parts of a run that is under way."""

    crm: BottleCrm
    org: Org
    proxy: Proxy
    world: World
    look: asyncpg.Connection
    schedules: schedules_pb2_grpc.ScheduleServiceAsyncStub
    found: Delivered

    async def held(self) -> int:
        """Return how many contacts BottleCRM holds."""
        asked = "select count(*) from contacts where org_id = $1::uuid"
        return int(await self.look.fetchval(asked, self.org.id))

    async def poll(self) -> None:
        """Run the poller of contacts once and wait until everything that it told is settled."""
        name = f"poll/{people.CRM}/contacts"

        async def job() -> schedules_pb2.Schedule | None:
            request = schedules_pb2.ListSchedulesRequest(tenant_id=people.TENANT)
            answer = await self.schedules.ListSchedules(request, timeout=30)
            return next((item for item in answer.schedules if item.name == name), None)

        async def known() -> bool:
            return await job() is not None

        await until(known, "the poller is known", 60.0)
        for _ in range(
            TRIES_MAX
        ):  # a round that meets a 429 ends there, and the next goes on from its cursor
            ended = await self._run_once(name, job)
            say(f"polled: {ended.outcome} {ended.detail}")
            if ended.outcome == "ok":
                break
            if "rate_limit" not in ended.detail:
                raise MeasurementFailed(f"a poll ended with {ended.outcome}: {ended.detail}")
        else:
            raise MeasurementFailed(f"no poll of {TRIES_MAX} got through")
        await settle(self.world, POLL_S_MAX)

    async def _run_once(
        self, name: str, job: Callable[[], Awaitable[schedules_pb2.Schedule | None]]
    ) -> schedules_pb2.Schedule:
        before = (await job() or schedules_pb2.Schedule()).run_count
        order = schedules_pb2.RunScheduleRequest(tenant_id=people.TENANT, name=name, actor=ACTOR)
        await self.schedules.RunSchedule(order, timeout=30)

        async def ran() -> bool:
            item = await job()
            return item is not None and item.run_count > before and not item.asked

        await until(ran, "a poll ended", POLL_S_MAX)
        return await job() or schedules_pb2.Schedule()


def say(words: str) -> None:
    """Tell the terminal what is under way."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}\n")
    sys.stderr.flush()


async def measure(contacts: int, duplicates: int, deals: int) -> Delivered:
    """Do a run.

    Raises: MeasurementFailed, RuntimeError when BottleCRM does not run.
    """
    async with _running(Delivered(contacts - duplicates, deals)) as run:
        await _deliver(run, contacts, duplicates, deals)
        await _compare(run, contacts, duplicates, deals)
        await _poll_back(run)
        run.found.counts = dict(run.proxy.counts)
        return run.found


def told(found: Delivered) -> dict[str, Any]:
    """Return a run as the JSON has it."""
    return asdict(found)


@asynccontextmanager
async def _running(found: Delivered) -> AsyncIterator[Run]:
    entered = bottle_crm(say)
    crm = await to_thread.run_sync(entered.__enter__)
    try:
        org = await to_thread.run_sync(crm.org, "Northwind")
        secret = {people.SECRET: json.dumps({"api_token": org.token})}
        look = await asyncpg.connect(crm.admin_url)
        lose = (("POST /api/contacts/", found.contacts // 8), ("POST /api/opportunities/", found.deals // 8))
        proxy = Proxy(crm.base_url, busy_every=BUSY_EVERY, lose=lose)
        say("starting Headwater")
        async with proxy.running(), open_ground() as ground, ground.world((), extra=secret) as world:
            address = world.children["sync"].environment["HEADWATER_SYNC_ADDRESS"]
            async with grpc.aio.insecure_channel(address) as channel:
                await world.record([people.policy(proxy.url)])
                stub: Any = schedules_pb2_grpc.ScheduleServiceStub(channel)
                run = Run(crm, org, proxy, world, look, stub, found)
                prepared = "select count(*) from sync.connector_state where finding = ''"

                async def ready() -> bool:
                    return bool(await world.look.fetchval(prepared) == 1)

                await until(ready, "the account prepared", 120.0)
                yield run
        await look.close()
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(entered.__exit__, None, None, None)


async def settle(world: World, timeout_s: float, goes: Callable[[], Any] | None = None) -> None:
    """Wait until nothing is under way, twice in a row; *goes* is called at every look."""
    give_up_at, quiet = time.monotonic() + timeout_s, 0
    while quiet < 3:
        if time.monotonic() > give_up_at:
            raise MeasurementFailed(f"not settled within {timeout_s:g} s")
        if goes is not None:
            await goes()
        behind = await world.look.fetchval("select count(*) from ingest.event") - await world.look.fetchval(
            PROJECTED
        )
        unsent = await world.look.fetchval("select count(*) from identity.change where sent_time is null")
        quiet = 0 if behind or unsent or await world.look.fetchval(UNSETTLED) else quiet + 1
        await anyio.sleep(LOOK_S)


async def _deliver(run: Run, contacts: int, duplicates: int, deals: int) -> None:
    unique = contacts - duplicates
    say(f"recording {contacts} contacts, {duplicates} of them duplicates, and {deals} deals")
    began = time.perf_counter()
    await run.world.record(people.contacts(contacts, duplicates))
    await run.world.record(people.deals(deals, unique))
    restarts = {round(unique * share): how for share, how in ((0.25, "kill"), (0.5, "end"), (0.75, "kill"))}
    shown = 0

    async def watch() -> None:
        nonlocal shown
        held = await run.held()
        if held >= shown + 200:
            shown = held
            say(
                f"{held} of {unique} contacts in BottleCRM, {run.proxy.counts['429']} calls refused as too many"
            )
        for due in [number for number in restarts if held >= number]:
            how = restarts.pop(due)
            say(f"BottleCRM is {'killed' if how == 'kill' else 'ended'} at {held} contacts and started again")
            await to_thread.run_sync(run.crm.kill if how == "kill" else run.crm.end)
            await to_thread.run_sync(run.crm.start)
            run.found.restarts += 1

    await settle(run.world, SETTLE_S_MAX, watch)
    run.found.seconds = time.perf_counter() - began
    say(f"settled after {run.found.seconds:.0f} s")


async def _compare(run: Run, contacts: int, duplicates: int, deals: int) -> None:
    """Read BottleCRM's tables and compare them with what was worked out apart from the product."""
    found, unique = run.found, contacts - duplicates
    rows = await run.look.fetch(_CONTACTS, run.org.id)
    wanted = people.expected_contacts(contacts, duplicates)
    addresses = Counter(str(row["email"]).lower() for row in rows)
    keys = Counter(row["key"] for row in rows)
    found.held_contacts = len(rows)
    equal = 0
    for row in rows:
        expected = wanted.get(row["email"])
        seen = {name: row[name] or None for name in people.CONTACT_COLUMNS}
        if expected is not None and seen == {name: expected.get(name) for name in people.CONTACT_COLUMNS}:
            equal += 1
        elif len(found.differences) < 10:
            found.differences.append(f"contact {seen} is not {expected}")
    found.contacts_equal = equal / unique
    sold = await run.look.fetch(_DEALS, run.org.id)
    names = people.expected_deals(deals, unique)
    found.held_deals = len(sold)
    same = 0
    for row in sold:
        expected = names.get(row["name"])
        seen = {name: row[name] for name in people.DEAL_COLUMNS} | {
            "amount": float(row["amount"] or 0),
            "people": row["people"],
        }
        if seen == expected:
            same += 1
        elif len(found.differences) < 20:
            found.differences.append(f"deal {seen} is not {expected}")
    found.deals_equal = same / deals
    deal_keys = Counter(row["key"] for row in sold)
    found.surplus = (
        len(rows) - len(addresses) + len(rows) - len(keys) + len(sold) - len(deal_keys)
        + max(0, len(rows) - unique) + max(0, len(sold) - deals)
    )  # fmt: skip
    found.busy, found.lost = run.proxy.counts["429"], run.proxy.counts["lost"]
    found.gateway = run.proxy.counts["502"]
    stuck = "select count(*) from sync.delivery where state not in (2)"
    found.stuck = int(await run.world.look.fetchval(stuck))
    for line in found.differences:
        say(line)


async def _poll_back(run: Run) -> None:
    """Poll what Headwater itself wrote, then what a person changes, makes and deletes."""
    before = run.proxy.writes
    await run.poll()
    run.found.echoes_written = run.proxy.writes - before
    ended = await run.world.look.fetch(_ENDED, people.CRM)
    run.found.rules = {str(row["rule"]): int(row["events"]) for row in ended}
    rows = await run.look.fetch(f"{_CONTACTS} order by email limit {CHANGED + DELETED}", run.org.id)
    changed, doomed = rows[:CHANGED], rows[CHANGED:]
    say(f"a person changes {CHANGED} contacts, makes {MADE} and deletes {DELETED}")
    await to_thread.run_sync(_work, run, [row["id"] for row in changed], [row["id"] for row in doomed])
    began = time.perf_counter()
    await run.poll()
    run.found.polled_s = time.perf_counter() - began
    seen = await _told_back(run, [row["id"] for row in doomed])
    run.found.polled_share = seen / (CHANGED + MADE + DELETED)
    if len(run.found.differences) == 0 and seen < CHANGED + MADE + DELETED:
        run.found.differences.append(f"{seen} of {CHANGED + MADE + DELETED} changes of people came back")


def _work(run: Run, changed: list[str], doomed: list[str]) -> None:
    with run.crm.client(run.org) as person:
        for number, crm_id in enumerate(changed):
            person.patch(f"/api/contacts/{crm_id}/", json={"title": f"Chief {number}"}).raise_for_status()
        for number in range(MADE):
            body = {
                "first_name": "New",
                "last_name": f"Person {number}",
                "email": f"new.{number}@fresh.example",
            }
            person.post("/api/contacts/", json=body).raise_for_status()
        for crm_id in doomed:
            person.delete(f"/api/contacts/{crm_id}/").raise_for_status()


async def _told_back(run: Run, doomed: list[str]) -> int:
    """Return how many of the changes are in Headwater: titles and new people as values of entities, deletions as events."""
    rows = await run.world.look.fetch("select fields from sync.entity where state = 'active' and version > 0")
    values: list[Mapping[str, Any]] = [
        {
            name: item[0]
            for name, item in (
                row["fields"] if isinstance(row["fields"], dict) else json.loads(row["fields"])
            ).items()
        }
        for row in rows
    ]
    titles = {str(one.get("title")) for one in values}
    addresses = {str(one.get("email")) for one in values}
    gone = await run.world.look.fetch(
        "select external_id from ingest.event where source = $1 and operation = 2 and external_id = any($2)",
        people.CRM,
        doomed,
    )
    return (
        sum(f"Chief {number}" in titles for number in range(CHANGED))
        + sum(f"new.{number}@fresh.example" in addresses for number in range(MADE))
        + len({row["external_id"] for row in gone})
    )

"""A backfill of many records while live traffic runs: what live events feel, and what a SIGKILL in the middle leaves.

The CRM that is read is a sandbox process of its own: a real one is another machine, and its scans are not ours. Live
latency is measured with the backfill at work and while it is paused, turn by turn, in the same run.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import httpx
from anyio import to_thread
from tests.load.figures import percentile
from tests.load.ingest.ground import free_port
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.facts import AccountOf
from tests.load.sync.ground import CALL_S, LOOK_S, SANDBOX_OPTIONS, Ground, World, until
from tests.load.sync.pacing import offer
from tests.system.processes import Child

from headwater.event.v1 import event_pb2
from headwater.kernel.rpc import open_channel
from headwater.policy.loading import policy_digest
from headwater.sync.v1 import backfills_pb2 as pb
from headwater.sync.v1 import backfills_pb2_grpc

LIVE: Final = facts.TWO[0]
READ: Final = AccountOf("source", "salesforce")
SYSTEM: Final = "crm"
CALLS_A_S: Final = 1_000
PAGE_MIN: Final = 100
PAGE_MAX: Final = 1_000
PAGES: Final = 100
"""As many pages a run, within what the policy allows: for each the sandbox looks at all its records, as no CRM does."""
TURN_S: Final = 8.0
ALONE_TURNS: Final = 20
"""Turns without the backfill, spread over all of it: 4,000 live events tell a 99th percentile as well as more do."""
LIVE_RECORDS: Final = 1_000
FILL_RECORDS: Final = 200
FILLERS: Final = 4
ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_SERVICE, id="bench")
_ENDED: Final = (pb.BACKFILL_STATE_DONE, pb.BACKFILL_STATE_CANCELLED, pb.BACKFILL_STATE_FAILED)
READ_COUNT: Final = "select sum(read_count) from sync.backfill_part"
HELD: Final = "select count(*) from sync.record where source = 'crm'"
EVENTS: Final = "select count(*) from ingest.event where source = 'crm'"
NOW: Final = "select pg_snapshot_xmin(pg_current_snapshot())::text"
SETTLED: Final = (
    "select event_key, extract(epoch from audit_time)::float8 as end_s from sync.audit where tenant_id = $1"
    " and xid >= $2::text::xid8 and connector = $3 and outcome in ('created', 'updated') and event_key = any($4::uuid[])"
)
"""Of the newest entries alone: what looks must not weigh on what it looks at, however long the run is."""
LEFT: Final = "select count(*) from sync.delivery where state in (1, 3, 4)"


@dataclass(slots=True)
class Crossed:
    """What a run came to.

    Args:
        beside_ms, alone_ms: live latencies to the CRM's durable answer, with the backfill at work and paused.
        seconds: that the backfill was at work.
        lost: records of the CRM that the projection or the other CRM does not have.
        doubled: events and records of the other CRM that are there twice.
    """

    records: int
    beside_ms: list[float] = field(default_factory=list)
    alone_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    kills: int = 0
    lost: int = 0
    doubled: int = 0

    @property
    def ratio(self) -> float:
        """How much slower the 99th percentile of live events is beside the backfill."""
        return percentile(self.beside_ms, 0.99) / percentile(self.alone_ms, 0.99)


def page_of(records: int) -> int:
    """Return how many records a page has when so many are read."""
    return min(PAGE_MAX, max(PAGE_MIN, records // PAGES))


def policy(live_url: str, read_url: str, page: int) -> event_pb2.Event:
    """Return the bench's policy with one account that is only read, in pages of so many records."""
    event = facts.policy(live_url, [LIVE])
    document = json.loads(json.loads(event.payload)["document"])
    people = {name: document["systems"][facts.SOURCE][name] for name in ("owner", "backup", "runbook")}
    paths = {"Email": "email", "FirstName": "first_name", "LastName": "last_name"}
    document["systems"][SYSTEM] = {**people, "layer": "record", "inbound": {"contact": {"fields": paths}}}
    for rule in document["objects"]["contact"]["fields"].values():
        rule["owners"] = [facts.SOURCE, SYSTEM]
    document["connectors"][READ.name] = {
        **people,
        "vendor": READ.vendor,
        "system": SYSTEM,
        "base_url": f"{read_url}/{READ.vendor}/{READ.name}",
        "credentials": f"env:{facts.SECRET}_{READ.name.upper()}",
        "limits": {"window": {"calls": CALLS_A_S, "window_s": 1}},
        "poll": {"every_s": 86_400, "page_records": page},
        "objects": {
            "contact": [
                {"target": "Contact", "external_id": "Headwater_Id__c", "direction": "in",
                 "fields": {"Email": {"field": "email"}}}
            ]
        },
    }  # fmt: skip
    text = json.dumps(document)
    digest = policy_digest(text)
    event.payload = json.dumps({"document": text, "digest": digest}).encode()
    event.request_id = f"policy:{digest}"
    return event


async def cross(
    ground: Ground, records: int, rate: float, live_rate: float, kills: int, turn_s: float = TURN_S
) -> Crossed:
    """Backfill *records* at *rate* a second beside *live_rate* live events a second, killing sync *kills* times.

    Args:
        turn_s: seconds of live traffic with the backfill at work, and again while it is paused.

    Raises: MeasurementFailed.
    """
    extra = {**facts.secrets([READ]), "HEADWATER_SYNC_LEASE_TTL_S": "2"}
    async with ground.world([LIVE], extra=extra) as world, _other(ground) as url:
        _say(f"{records:,} records are put into the CRM that is read")
        await _fill(url, records)
        page = page_of(records)
        await world.record([policy(str(world.sandbox.base_url).rstrip("/"), url, page)])
        await until(lambda: _connected(world), "both accounts prepared", 60.0)
        address = world.children["sync"].environment["HEADWATER_SYNC_ADDRESS"]
        async with open_channel(address) as channel:
            stub = backfills_pb2_grpc.BackfillServiceStub(channel)
            alone_every = max(1, round(records / rate / turn_s / ALONE_TURNS))
            run = _Run(world, stub, live_rate, turn_s, alone_every, page / rate, Crossed(records))
            await run.through(rate / page / CALLS_A_S, kills)
        _say("the backfill is through; its last records are delivered")
        await _settled(world, records)
        _say("what is there is counted")
        await _judge(world, run)
        return run.crossed


@dataclass(slots=True)
class _Run:
    """One backfill and the live traffic beside it.

    Args:
        alone_every: turns beside the backfill before one while it is paused.
        page_s: seconds over which a page is spread.
    """

    world: World
    stub: backfills_pb2_grpc.BackfillServiceAsyncStub
    live_rate: float
    turn_s: float
    alone_every: int
    page_s: float
    crossed: Crossed
    backfill_id: str = ""
    offered: int = 0

    async def through(self, share: float, kills: int) -> None:
        """Run it to its end: turns with and without it, and a SIGKILL of sync at even distances."""
        _say("live traffic alone, to warm up")
        await self._live([])
        self.backfill_id = str(uuid.uuid4())
        start = pb.StartBackfillRequest(
            tenant_id=facts.TENANT,
            backfill_id=self.backfill_id,
            connector=READ.name,
            share=share,
            actor=ACTOR,
        )
        await self.stub.StartBackfill(start, timeout=CALL_S, wait_for_ready=True)
        turns = 0
        marks = [self.crossed.records * (number + 1) // (kills + 1) for number in range(kills)]
        while (found := await self._get()).state not in _ENDED:
            read = sum(part.read_count for part in found.parts)
            if marks and read >= marks[0]:
                marks.pop(0)
                await self._kill()
                continue
            await self._live(self.crossed.beside_ms)
            turns += 1
            if turns % self.alone_every == 0:
                await self._pause()
                await self._live(self.crossed.alone_ms)
                await self._switch(pb.ResumeBackfillRequest, self.stub.ResumeBackfill)
            self._tell(read)
        if found.state != pb.BACKFILL_STATE_DONE:
            raise MeasurementFailed(f"the backfill did not end well: {found.finding}")
        self.crossed.seconds = found.work_s

    def _tell(self, read: int) -> None:
        crossed = self.crossed
        beside, alone = (percentile(one, 0.99) for one in (crossed.beside_ms, crossed.alone_ms))
        _say(f"{read:,} of {crossed.records:,} read; live p99 beside {beside:.0f} ms, alone {alone:.0f} ms")

    async def _live(self, into: list[float]) -> None:
        look = self.world.look
        began = await look.fetchval(NOW)
        offered = await offer(
            self.world, rate=self.live_rate, seconds=self.turn_s, first=self.offered, records=LIVE_RECORDS
        )
        self.offered += len(offered.numbers)
        ends: dict[uuid.UUID, float] = {}

        async def delivered() -> bool:
            left = [key for key in offered.keys if key not in ends]
            for row in await look.fetch(SETTLED, facts.TENANT, began, LIVE.name, left):
                ends.setdefault(row["event_key"], row["end_s"])
            return len(ends) == len(offered.keys)

        await until(delivered, "live events delivered", 60.0)
        into.extend((ends[key] - due) * 1e3 for key, due in offered.keys.items())

    async def _kill(self) -> None:
        await to_thread.run_sync(self.world.children["sync"].kill)
        self.crossed.kills += 1
        _say(f"SIGKILL {self.crossed.kills} of sync")
        before = await self.world.look.fetchval(READ_COUNT)
        await self.world.start("sync")

        async def goes_on() -> bool:
            read = await self.world.look.fetchval(READ_COUNT)
            return bool(read > before)

        await until(goes_on, "the backfill gone on after SIGKILL", 60.0)

    async def _pause(self) -> None:
        """Pause it, and return once the page under way is through: what is measured then is measured alone."""
        before = await self.world.look.fetchval(READ_COUNT)
        await self._switch(pb.PauseBackfillRequest, self.stub.PauseBackfill)
        with anyio.move_on_after(self.page_s * 2 + 1.0):  # between two pages none is under way
            while await self.world.look.fetchval(READ_COUNT) == before:  # noqa: ASYNC110 - nobody announces it
                await anyio.sleep(LOOK_S)

    async def _switch(self, request: Any, method: Any) -> None:
        if (await self._get()).state not in _ENDED:
            order = request(tenant_id=facts.TENANT, backfill_id=self.backfill_id, actor=ACTOR)
            try:
                await method(order, timeout=CALL_S, wait_for_ready=True)
            except Exception as ended:
                if (await self._get()).state not in _ENDED:
                    raise MeasurementFailed(str(ended)) from ended

    async def _get(self) -> pb.Backfill:
        request = pb.GetBackfillRequest(tenant_id=facts.TENANT, backfill_id=self.backfill_id)
        return (await self.stub.GetBackfill(request, timeout=CALL_S, wait_for_ready=True)).backfill


@asynccontextmanager
async def _other(ground: Ground) -> AsyncIterator[str]:
    """Run a second sandbox, with the empty account that is read."""
    port = free_port()
    directory = ground.directory / f"read-{port}"
    environment: Mapping[str, str] = {
        "HEADWATER_SANDBOX_DATA_DIR": str(directory),
        "HEADWATER_SANDBOX_PORT": str(port),
    }
    child = Child("sandbox", environment, ground.directory / f"read-{port}.stderr")
    await to_thread.run_sync(child.start)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(child.end)


async def _fill(url: str, records: int) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=CALL_S) as client:
        place = f"/_sandbox/{READ.vendor}/{READ.name}"
        (await client.post(f"{place}/reset", json={"seed": False})).raise_for_status()
        (await client.put(f"{place}/options", json=SANDBOX_OPTIONS)).raise_for_status()
        form = {"grant_type": "refresh_token", "client_id": "headwater", "client_secret": "sandbox-secret"}
        form["refresh_token"] = f"sandbox-refresh-{READ.name}"
        told = await client.post(f"/{READ.vendor}/{READ.name}/services/oauth2/token", data=form)
        headers = {"Authorization": f"Bearer {told.raise_for_status().json()['access_token']}"}
        path = f"/{READ.vendor}/{READ.name}/services/data/v61.0/composite/sobjects"
        starts = iter(range(0, records, FILL_RECORDS))

        async def some() -> None:
            for start in starts:
                people = [_person(number) for number in range(start, min(records, start + FILL_RECORDS))]
                answer = await client.post(path, json={"records": people}, headers=headers)
                if not all(item["success"] for item in answer.raise_for_status().json()):
                    raise MeasurementFailed(f"the CRM could not be filled: {answer.text[:200]}")

        async with anyio.create_task_group() as tasks:
            for _ in range(FILLERS):
                tasks.start_soon(some)


def _person(number: int) -> dict[str, Any]:
    return {
        "attributes": {"type": "Contact"},
        "Email": f"old.{number}@archive-{number % 997}.example",
        "FirstName": f"Old{number}",
        "LastName": f"Archive {number}",
    }


async def _connected(world: World) -> bool:
    sql = "select count(*) from sync.connector_state where finding = ''"
    return bool(await world.look.fetchval(sql) >= 1)


async def _settled(world: World, records: int) -> None:
    async def settled() -> bool:
        return bool(await world.look.fetchval(LEFT) == 0)

    await until(settled, "every delivery settled", 120.0 + records / 50)


async def _judge(world: World, run: _Run) -> None:
    """Count what is missing and what is there twice, in the log, the projection and the other CRM."""
    crossed, records = run.crossed, run.crossed.records
    held, events = await world.look.fetchval(HELD), await world.look.fetchval(EVENTS)
    place = f"/_sandbox/{LIVE.vendor}/{LIVE.name}/records"
    told = (await world.sandbox.get(place, params={"object": "contacts"}, timeout=120.0)).json()["records"][
        "contacts"
    ]
    names = [item["fields"].get("lastname") for item in told]
    old = [name for name in names if str(name).startswith("Archive")]
    crossed.lost = records - held + records - len(set(old))
    crossed.doubled = events - records + len(old) - len(set(old))


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")

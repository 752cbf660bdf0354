"""Draining a backlog: events stand in the log, sync starts, and the clock stops when every CRM holds the last of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.facts import AccountOf
from tests.load.sync.ground import Ground, World, until

from headwater.event.v1 import event_pb2

UPDATES: Final = 2
"""Events of one record: the first creates it, the others change its title."""
PROCESSES: Final = {"HEADWATER_SYNC_PROCESSES": "2"}
"""One for each of the two cores that the goal speaks of."""
TAIL_EVENTS: Final = 500
"""Enough that every shard's last event is among them."""
DRAIN_S_MAX: Final = 300.0
PROJECTED: Final = "select count(*) from sync.projection"
TAIL_PROJECTED: Final = (
    "select count(*) from sync.projection where tenant_id = $1 and event_key = any($2::uuid[])"
)
"""Of the last events of the log: costs next to nothing while the rest is on its way."""
UNSETTLED: Final = "select exists (select from sync.delivery where state in (1, 3, 4))"
ENDED: Final = "select state, count(*) as n from sync.delivery group by state"
ATTEMPTS: Final = "select count(*) from sync.try"
AUDITED: Final = "select count(*) from sync.audit"
NUMBERED: Final = "select coalesce(sum(size), 0)::bigint from sync.audit_head"
DELIVERED: Final = 2


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain.

    Args:
        projected_s: until the last event was projected.
        seconds: until the last delivery was settled, from the moment sync was ready.
        cpu_us: per event, by process.
        audited: entries of the audit when the last delivery was settled; *numbered* of them have a number.
        calls: record writes that reached each account.
    """

    events: int
    records: int
    seconds: float
    projected_s: float
    cpu_us: dict[str, float]
    wal_bytes: float
    attempts: int
    audited: int
    numbered: int
    memory_mib: dict[str, float]

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


async def drain(
    ground: Ground,
    events: int,
    accounts: Sequence[AccountOf] = facts.TWO,
    extra: Mapping[str, str] = PROCESSES,
    sampled: float = 0.0,
    afterwards: Callable[[World, Drained], Awaitable[None]] | None = None,
) -> Drained:
    """Let a backlog of *events* drain once into *accounts*, and check where every delivery ended.

    Args:
        extra: further settings of the services.
        sampled: share of the events whose producer sampled them; each then has a trace of its own. 0: none has one.
        afterwards: is told the world and the drain once all is measured, while the world stands.

    Raises:
        MeasurementFailed: it did not drain in time, or a delivery did not arrive.
    """
    async with ground.world(accounts, started=("ingest", "identity"), extra=extra) as world:
        await world.apply_policy()
        records = events // UPDATES
        tail: list[str] = []
        for start in range(0, events, 10_000):
            numbers = range(start, min(events, start + 10_000))
            made = [facts.contact(number % records, number) for number in numbers]
            if sampled:
                _trace(made, numbers, sampled)
            tail = await world.record(made)
        await world.start("sync")
        before = await world.used()
        began = time.perf_counter()
        projected_s = await _until_drained(world, events, tail[-TAIL_EVENTS:], began)
        seconds = time.perf_counter() - began
        numbered, audited = await world.look.fetchval(NUMBERED), await world.look.fetchval(AUDITED)
        after = await world.used()
        await _check(world, records)
        drained = Drained(
            events=events,
            records=records,
            seconds=seconds,
            projected_s=projected_s,
            cpu_us=after.per_event_us(before, events),
            wal_bytes=(after.wal_bytes - before.wal_bytes) / events,
            audited=audited,
            numbered=numbered,
            attempts=await world.look.fetchval(ATTEMPTS),
            memory_mib=world.memory_mib(),
        )
        if afterwards is not None:
            await afterwards(world, drained)
        return drained


def _trace(events: Sequence[event_pb2.Event], numbers: range, share: float) -> None:
    """Give each event a trace of its own, *share* of them sampled, spread evenly."""
    for number, one in zip(numbers, events, strict=True):
        kept = int((number + 1) * share) - int(number * share)
        one.trace.traceparent = f"00-{0x5EED << 64 | number + 1:032x}-{number + 1:016x}-0{kept}"


async def _until_drained(world: World, events: int, tail: Sequence[str], began: float) -> float:
    """Return when everything is settled; the value is the seconds until all was projected."""
    projected_s = 0.0

    async def projected() -> bool:
        if await world.look.fetchval(TAIL_PROJECTED, facts.TENANT, tail) < len(tail):
            return False
        return bool(await world.look.fetchval(PROJECTED) >= events + 1)  # the policy is an event too

    async def settled() -> bool:
        return not await world.look.fetchval(UNSETTLED)

    await until(projected, "the backlog projected", DRAIN_S_MAX)
    projected_s = time.perf_counter() - began
    await until(settled, "the backlog delivered", DRAIN_S_MAX)
    return projected_s


async def _check(world: World, records: int) -> None:
    ended = {row["state"]: row["n"] for row in await world.look.fetch(ENDED)}
    wanted = {DELIVERED: records * len(world.accounts)} if world.accounts else {}
    if ended != wanted:
        raise MeasurementFailed(f"deliveries ended as {ended}, not as {wanted}")

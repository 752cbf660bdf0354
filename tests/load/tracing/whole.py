"""The whole path, event to CRM, in slices: one system of real processes, whose tracing is switched between slices.

It is new in each round, so that no process's luck with its memory counts for more than a round.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import anyio
from tests.load.ingest.meters import cpu_s, process_cpu_s, processes
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.backlog import ENDED, TAIL_EVENTS, TAIL_PROJECTED, UNSETTLED, UPDATES
from tests.load.sync.ground import BATCH_EVENTS, CALL_S, Ground, World
from tests.load.tracing.doors import Seen
from tests.load.tracing.switchable import LAUNCHER, switch
from tests.load.tracing.ways import (
    FEW,
    TAIL_S,
    WAYS,
    Receiver,
    Way,
    order_of,
    settings_of,
)

from headwater.ingest.v1 import ingest_pb2

OURS: Final = ("ingest", "identity", "sync")
METERED: Final = (*OURS, "postgres")
WARM_EVENTS: Final = 1_000
LOOK_S: Final = 0.02
SLICE_S_MAX: Final = 120.0
_SETTLED: Final = "select not (" + UNSETTLED.removeprefix("select ") + ")"


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice took.

    Args:
        cpu_us: per event, by process; with what is exported after the last event was settled.
        spans: spans, attributes and links that the receiver took, an event.
    """

    pace_per_s: float
    cpu_us: Mapping[str, float]
    spans: tuple[float, float, float]

    @property
    def ours_us(self) -> float:
        """CPU of our own processes an event."""
        return sum(self.cpu_us[name] for name in OURS)


@dataclass(slots=True)
class Whole:
    """What rounds saw, by way."""

    seen: dict[str, Seen] = field(default_factory=dict)
    slices: dict[str, list[Slice]] = field(default_factory=dict)

    def of(self, way: str, read: str) -> float:
        """Return the median CPU microseconds an event that a process takes in a way."""
        return median(one.cpu_us[read] for one in self.slices[way])

    def spans(self, way: str) -> tuple[float, ...]:
        """Return the median spans, attributes and links an event in a way."""
        return tuple(median(counts) for counts in zip(*(one.spans for one in self.slices[way]), strict=True))


class Stand:
    """The system, which is asked for a slice now and then."""

    def __init__(self, world: World, receiver: Receiver, switches: Path) -> None:
        self._world = world
        self._switches = switches
        self._receiver = receiver
        self._next = 0
        self._calls = 0

    async def slice(self, events: int, way: Way) -> Slice:
        """Record *events*, half of them of new records, and wait until every CRM holds the last of them.

        Raises:
            MeasurementFailed: it did not end in time, or a delivery did not arrive.
        """
        receiver = self._receiver
        requests = self._requests(events, way.share)
        taken = (receiver.spans, receiver.attributes, receiver.links)
        children = [self._world.children[name] for name in OURS]
        await switch(children, self._switches, on=way.traced)
        receiver.answer(way.answers)
        before, began = self._used_s(), time.perf_counter()
        tail: list[str] = []
        for request in requests:
            tail += await self._send(request, way.share)
        await self._look_until("the slice projected", TAIL_PROJECTED, len(tail[-TAIL_EVENTS:]), tail)
        await self._look_until("the slice delivered", _SETTLED, True, None)
        took_s = time.perf_counter() - began
        await anyio.sleep(TAIL_S)
        cpu_us = {name: (used - before[name]) * 1e6 / events for name, used in self._used_s().items()}
        if not way.answers:
            receiver.answer(True)
            await anyio.sleep(TAIL_S)
        left = (receiver.spans, receiver.attributes, receiver.links)
        spans, attributes, links = ((now - then) / events for now, then in zip(left, taken, strict=True))
        if (spans > 0) != way.traced or (way.traced and spans < way.share):
            raise MeasurementFailed(f"{spans:g} spans an event came, not as told: {way}")
        return Slice(events / took_s, cpu_us, (spans, attributes, links))

    async def check(self) -> None:
        """Raise unless all that was recorded was delivered."""
        world = self._world
        ended = {row["state"]: row["n"] for row in await world.look.fetch(ENDED)}
        wanted = self._next // UPDATES * len(world.accounts)
        if set(ended) != {2} or sum(ended.values()) != wanted:
            raise MeasurementFailed(f"deliveries ended as {ended}, not {wanted} of them delivered")

    def _used_s(self) -> dict[str, float]:
        """Return the CPU seconds of each process so far."""
        world = self._world
        pids = {name: processes(world.children[name].pid) for name in OURS}
        used = {name: sum(process_cpu_s(one.pid) for one in found) for name, found in pids.items()}
        return {**used, "postgres": cpu_s(world.postgres_pid)}

    def _requests(self, events: int, share: float) -> list[ingest_pb2.BatchRecordEventsRequest]:
        start, records = self._next, events // UPDATES
        self._next += events
        made = []
        for number in range(events):
            one = facts.contact(start // UPDATES + number % records, start + number)
            kept = int((number + 1) * share) - int(number * share)
            one.trace.traceparent = (
                f"00-{0x5EED << 64 | start + number + 1:032x}-{start + number + 1:016x}-0{kept}"
            )
            made.append(one)
        return [
            ingest_pb2.BatchRecordEventsRequest(tenant_id=facts.TENANT, events=made[at : at + BATCH_EVENTS])
            for at in range(0, events, BATCH_EVENTS)
        ]

    async def _send(self, request: ingest_pb2.BatchRecordEventsRequest, share: float) -> list[str]:
        self._calls += 1
        kept = int(self._calls * share) - int((self._calls - 1) * share)
        parent = f"00-{0xCA11 << 64 | self._calls:032x}-{self._calls:016x}-0{kept}"
        answer = await self._world.ingest.BatchRecordEvents(
            request, timeout=CALL_S, wait_for_ready=True, metadata=(("traceparent", parent),)
        )
        if refused := [one for one in answer.outcomes if one.disposition != ingest_pb2.DISPOSITION_ACCEPTED]:
            raise MeasurementFailed(f"an event was not accepted: {refused[0]}")
        return [one.event_key for one in answer.outcomes]

    async def _look_until(self, what: str, query: str, wanted: object, tail: Sequence[str] | None) -> None:
        arguments = () if tail is None else (facts.TENANT, tail[-TAIL_EVENTS:])
        give_up_at = time.monotonic() + SLICE_S_MAX
        while await self._world.look.fetchval(query, *arguments) != wanted:
            if time.monotonic() > give_up_at:
                raise MeasurementFailed(f"not within {SLICE_S_MAX:g} s: {what}")
            await anyio.sleep(LOOK_S)


async def measure_round(
    ground: Ground, receiver: Receiver, number: int, turns: int, events: int, whole: Whole
) -> None:
    """Start the system and drive it in turns, slice by slice."""
    switches = ground.directory / f"switches-{number}"
    switches.mkdir()
    extra = {"HEADWATER_SYNC_PROCESSES": "1", **settings_of(receiver, switches)}
    found: dict[str, list[Slice]] = {}
    async with ground.world(facts.TWO, started=(), extra=extra) as world:
        for name in OURS:
            world.children[name].launcher = LAUNCHER
            await world.start(name)
        await world.apply_policy()
        await world.until_connected()
        stand = Stand(world, receiver, switches)
        await stand.slice(WARM_EVENTS, WAYS[FEW])
        for turn in range(turns):
            for name in order_of(f"whole {number} {turn}"):
                one = await stand.slice(events, WAYS[name])
                whole.slices.setdefault(name, []).append(one)
                found.setdefault(name, []).append(one)
        await stand.check()
    for name, slices in found.items():
        seen = whole.seen.setdefault(name, Seen())
        seen.pace_per_s.append([one.pace_per_s for one in slices])
        seen.cpu_us.append([one.ours_us for one in slices])

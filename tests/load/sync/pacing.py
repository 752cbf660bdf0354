"""An open-loop producer of single events, and how long each took to its CRM.

An event leaves when it is due, whatever became of those before, and its latency counts from the instant it was
due: a stalled engine cannot hide what it made wait. Two ends are measured: `arrival`, the call reaching the CRM, and
`settled`, its answer recorded durably in the delivery's attempt.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
from tests.load.figures import percentile
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.facts import AccountOf
from tests.load.sync.ground import CALL_S, World

from headwater.ingest.v1 import ingest_pb2

SHARES: Final[Mapping[str, float]] = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
SETTLED: Final = (
    "select connector, event_key, extract(epoch from end_time)::float8 as end_s from sync.try"
    " where outcome in ('created', 'updated') and start_time >= to_timestamp($1)"
)


@dataclass(slots=True)
class Offered:
    """What was offered: by number and by key, when each event was due, in seconds since 1970."""

    numbers: dict[int, float] = field(default_factory=dict)
    keys: dict[uuid.UUID, float] = field(default_factory=dict)
    late_s: float = 0.0
    """The most that an event left after it was due: what the producer itself adds."""


async def offer(world: World, *, rate: float, seconds: float, first: int, records: int) -> Offered:
    """Offer events *first*... at *rate* per second, each an update or a creation of its record.

    Args:
        records: so many different records take turns; by the time one comes again its last write has long arrived.

    Raises:
        MeasurementFailed: an event was refused.
    """
    offered = Offered()
    opens = time.perf_counter()
    wall = time.time() - opens

    async def send(number: int, due: float) -> None:
        event = facts.contact(number % records, number)
        request = ingest_pb2.RecordEventRequest(tenant_id=facts.TENANT, event=event)
        answer = await world.ingest.RecordEvent(request, timeout=CALL_S)
        if answer.outcome.disposition != ingest_pb2.DISPOSITION_ACCEPTED:
            raise MeasurementFailed(f"an event was not accepted: {answer.outcome}")
        offered.keys[uuid.UUID(answer.outcome.event_key)] = due

    async with anyio.create_task_group() as tasks:
        for number in range(first, first + round(rate * seconds)):
            due = opens + (number - first) / rate
            await anyio.sleep(max(0.0, due - time.perf_counter()))
            offered.late_s = max(offered.late_s, time.perf_counter() - due)
            offered.numbers[number] = due + wall
            tasks.start_soon(send, number, due + wall)
    return offered


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latencies of one account in milliseconds, by the event that was written.

    Args:
        superseded: events whose value was replaced by a later event's before it was sent.
    """

    settled_ms: Sequence[float]
    arrival_ms: Sequence[float]
    superseded: int

    def shown(self) -> dict[str, float]:
        """Return the percentiles of both ends."""
        return {
            f"{end} {name}": percentile(values, share)
            for end, values in (("arrival", self.arrival_ms), ("settled", self.settled_ms))
            for name, share in SHARES.items()
        }


async def latencies(world: World, offered: Offered, accounts: Sequence[AccountOf]) -> dict[str, Latencies]:
    """Return what each account saw of the offered events."""
    begins = min(offered.numbers.values())
    ends: dict[tuple[str, uuid.UUID], float] = {}
    for row in await world.look.fetch(SETTLED, begins - 1):
        if row["event_key"] in offered.keys:
            ends.setdefault((row["connector"], row["event_key"]), row["end_s"])
    marks = {facts.mark(number): due for number, due in offered.numbers.items()}
    found: dict[str, Latencies] = {}
    for account in accounts:
        settled = [
            (end - offered.keys[key]) * 1e3
            for (connector, key), end in ends.items()
            if connector == account.name
        ]
        arrivals: dict[str, float] = {}
        for line in await world.arrivals(account):
            after = line["changes"].get(facts.MARK_FIELDS[account.vendor], (None, None))[1]
            if after in marks:
                arrivals.setdefault(after, line["arrival_ms"] - marks[after] * 1e3)
        found[account.name] = Latencies(settled, list(arrivals.values()), len(marks) - len(arrivals))
    return found

"""What it costs to count one settled delivery for /metrics: outcome, attempt, latency and its example, a batch at a time."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from statistics import median
from typing import Final

from headwater.kernel.metrics import Metrics
from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.metering import AccountMeter

BATCH: Final = 1_000
"""Deliveries that are settled at once when there is much to do."""
REPEATS: Final = 200
NOW: Final = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)


def cost_us() -> float:
    """Return microseconds a delivery: the median of many batches of updates, none of which is sampled."""
    meter = AccountMeter("hubspot", Metrics("sync"))
    items = [_settled(number) for number in range(BATCH)]
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        meter.settled(items, NOW)
        taken.append(time.perf_counter() - began)
    return median(taken) / BATCH * 1e6


def _settled(number: int) -> Settlement:
    trace = TraceContext(f"00-{number + 1:032x}-{number + 1:016x}-00")
    claimed = Claimed(
        tenant_id="bench", connector="hubspot", entity_id=uuid.UUID(int=number), object="contact", state="active",
        merged_into=None, version=2, values={}, crm_object="contacts", crm_id=str(number), known={}, failure_count=0,
        in_doubt=False, waited_s=0.0, event_key=uuid.UUID(int=number), mark_time=NOW,
        dirty_time=NOW - dt.timedelta(milliseconds=number * 7 % 5_000), trace=trace, last_trace=None, tries_before=0,
        lane=Lane.LIVE, due_time=NOW, delivered_version=1,
    )  # fmt: skip
    return Settlement(
        claimed=claimed, state=State.DELIVERED, version=2, crm_object="contacts", crm_id=str(number), known={},
        failure_count=0, try_count=0, start_time=NOW, outcome="updated", lane=Lane.LIVE, trace=trace,
    )  # fmt: skip

"""The run itself: feed every set, wait until nothing moves, look at both sides.

The last message is kept back and sent alone, after everything else has settled: in a busy system a
CRM call carries a hundred records and hangs on the trace of one of them; the lone one shows the
whole way in one trace.

Each step may be interrupted and done again: the tenant and each set's progress are on file, recording is
idempotent, waiting and looking change nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from headwater.cli.feed.checkpoint import Tally, outcome_name, read_tally, write_tally
from headwater.cli.feed.pump import Pump
from headwater.cli.feed.rows import Row, Unreadable
from headwater.cli.policies import apply_policy
from headwater.cli.run.accounting import Ledger, Unexplained, unexplained
from headwater.cli.run.observing import ask_identity, ask_sync, list_deliveries, read_crms, read_ledger
from headwater.cli.run.samples import SampleSet, sample_policy, sample_sets
from headwater.cli.run.summary import Run, TraceShown
from headwater.cli.run.tracing import show_trace
from headwater.cli.services import Services
from headwater.cli.stack.layout import Layout
from headwater.client.ingest import IngestClient
from headwater.client.settings import ClientSettings
from headwater.client.writing import event
from headwater.event.v1 import event_pb2
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import Spans, Telemetry
from headwater.kernel.telemetry.rpc import client_tracing
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy

POLL_S: Final = 0.5
SETTLED_POLLS: Final = 2
"""Looks in a row that must find nothing moving: an event may be between two counts."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Who is told how far the run is; every call is cheap."""

    feeding: Callable[[str, int, int], None]
    """Set, rows done, rows in all."""
    settling: Callable[[Ledger], None]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run may be told."""

    tenant_id: str
    sandbox_url: str
    layout: Layout
    deadline_s: float


async def run_samples(
    services: Services,
    settings: RunSettings,
    telemetry: Telemetry,
    progress: Progress,
    *,
    clock: Clock,
    actor: event_pb2.Actor,
) -> Run:
    """Bring the samples through everything and account for them."""
    began = time.monotonic()
    tenant_id = settings.tenant_id
    text = sample_policy(settings.sandbox_url, tenant_id)
    await apply_policy(services, tenant_id, text, clock=clock, actor=actor)
    policy = load_policy(text)
    fed = await _feed(services, settings, telemetry.spans, progress)
    fed_s = time.monotonic() - began
    tallies = [pump.tally for pump in fed]
    troubles = [trouble for pump in fed for trouble in pump.troubles]
    await _settle(services, settings, _add(tallies), progress, policy)
    lone_key, lone_tally = await _send_alone(services, settings, telemetry)
    ledger = await _settle(services, settings, _add([*tallies, lone_tally]), progress, policy)
    deliveries = await list_deliveries(services, tenant_id)
    crms = await read_crms(settings.sandbox_url, tenant_id, policy, deliveries)
    gaps: tuple[Unexplained, ...] = unexplained(ledger, crms)
    sync, identity = await ask_sync(services, tenant_id), await ask_identity(services, tenant_id)
    shown: TraceShown | None = await show_trace(services, tenant_id, lone_key)
    return Run(
        tenant_id,
        ledger,
        crms,
        gaps,
        sync,
        identity,
        deliveries,
        shown,
        fed_s,
        time.monotonic() - began,
        troubles,
    )


async def _feed(services: Services, settings: RunSettings, spans: Spans, progress: Progress) -> list[Pump]:
    fed: list[Pump] = []
    shown = ClientSettings(security=services.security)
    async with IngestClient(services.addresses.ingest, settings.tenant_id, settings=shown) as client:
        sets = sample_sets()
        for sample in sets:
            rows = list(sample.rows())
            kept = rows[:-1] if sample is sets[-1] else rows
            pump = await _feed_set(client, sample, kept, settings, spans, progress)
            fed.append(pump)
    return fed


async def _send_alone(services: Services, settings: RunSettings, telemetry: Telemetry) -> tuple[str, Tally]:
    """Send the last row of the last set by itself; return its event key and its tally."""
    sample = sample_sets()[-1]
    *_, row = sample.rows()
    if isinstance(row, Unreadable):
        return "", Tally()
    checkpoint = _checkpoint(settings, "the last one")
    tally = read_tally(checkpoint)
    tracing = client_tracing(telemetry.tracer)
    shown, address = ClientSettings(security=services.security), services.addresses.ingest
    async with IngestClient(address, settings.tenant_id, settings=shown, interceptors=tracing) as client:
        with telemetry.spans.root("import row", keep=True):
            (outcome,) = await client.record([_to_event(sample, row)])
    if not tally.rows_done:
        tally.count([outcome_name(outcome)], 1)
        write_tally(checkpoint, tally)
    return outcome.event_key, tally


def _checkpoint(settings: RunSettings, name: str) -> Path:
    return settings.layout.checkpoints / f"{settings.tenant_id}.{name.replace(' ', '-')}.json"


def _to_event(sample: SampleSet, row: Row) -> event_pb2.Event:
    return event(
        sample.source(row),
        sample.object_name,
        row.external_id,
        {key: value for key, value in row.payload.items() if key != "source"},
        event_time=row.event_time,
    )


async def _feed_set(
    client: IngestClient,
    sample: SampleSet,
    rows: list[Row | Unreadable],
    settings: RunSettings,
    spans: Spans,
    progress: Progress,
) -> Pump:
    checkpoint = _checkpoint(settings, sample.name)

    def to_event(row: Row) -> event_pb2.Event:
        with spans.root("import row"):
            return _to_event(sample, row)

    def progressed(tally: Tally) -> None:
        write_tally(checkpoint, tally)
        progress.feeding(sample.name, tally.rows_done, len(rows))

    tally = read_tally(checkpoint)
    progress.feeding(sample.name, tally.rows_done, len(rows))
    pump = Pump(tally, to_event, progressed)
    await pump.send(client, rows)
    return pump


async def _settle(
    services: Services,
    settings: RunSettings,
    sent: dict[str, int],
    progress: Progress,
    policy: PolicyDocument,
) -> Ledger:
    """Wait until nothing is on its way, or the deadline; return the last look."""
    deadline = anyio.current_time() + settings.deadline_s
    quiet = 0
    while True:
        ledger = await read_ledger(services, settings.tenant_id, sent, policy)
        progress.settling(ledger)
        quiet = quiet + 1 if ledger.settled else 0
        if quiet >= SETTLED_POLLS or anyio.current_time() > deadline:
            return ledger
        await anyio.sleep(POLL_S)


def _add(tallies: list[Tally]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for tally in tallies:
        total.update(tally.counts)
    return dict(total)

"""One run at full sampling: events in while CRMs fail and services restart, then all that was told about it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from tests.system.tenant import CRM_WRITES, Tenant
from tests.system.traced.crashing import crash
from tests.system.traced.judging import Attempt, History
from tests.system.traced.producing import Produced, produce
from tests.system.traced.viewing import views
from tests.system.world import ORDER, World

from headwater.console.model import StoredSpan
from headwater.console.reading import reading
from headwater.console.store import FILE_NAME

FAULTS: Final[tuple[Mapping[str, Any], ...]] = (
    {"kind": "storm_429", "probability": 0.08, "retry_after_s": 1},
    {"kind": "error_5xx", "probability": 0.1},
    {"kind": "partial", "probability": 0.15, "share": 0.1},
    {"kind": "commit_then_reset", "probability": 0.08},
)
"""Too many calls, server errors, batches of which some records fail, answers that are lost after the write."""
RESTARTED: Final = ("identity", "sync", "ingest")
PATIENT: Final[Mapping[str, Any]] = {
    "retry": {"fast_s": [0.05, 0.1, 0.2], "slow_s": [0.5] * 60, "in_doubt_s": 0.1},
    "breaker": {"failures": 5, "hold_s": 0.5, "hold_s_max": 1},
}
"""Policy under which every delivery outlasts the faults."""
STORE_BYTES_MAX: Final = 2 * 1024**3
LOOKED_FOR: Final = 200
"""Events that are looked for by their key."""
TRACES_MAX: Final = 1_000_000
ATTEMPTS: Final = "select connector, entity_id::text, attempt_number, outcome, trace_id, span_id from sync.try where tenant_id = $1"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did, and what it left behind."""

    produced: Produced
    history: History
    faults: int
    settled_s: float


@contextmanager
def traced_world(database_url: str, directory: Path) -> Iterator[World]:
    """A world whose processes tell their numbers, sample everything, and say as much as they can, when they crash too."""
    world = World(database_url, directory)
    more = {
        "HEADWATER_METRICS_ADDRESS": "127.0.0.1:0",
        "HEADWATER_METRICS_TARGETS_DIR": str(directory / "metrics"),
        "HEADWATER_CONSOLE_STORE_BYTES_MAX": str(STORE_BYTES_MAX),
        "HEADWATER_LOG_LEVEL": "debug",
        "HEADWATER_CONSOLE_LOG_LEVEL": "debug",
        "PYTHONFAULTHANDLER": "1",
    }
    for child in world.children.values():
        child.environment = {**child.environment, **more}
    try:
        yield world.start()
    finally:
        world.close()


def run(world: World, directory: Path, events: int, seed: int, settle_s: float) -> Run:
    """Record *events* under faults, restart services half-way, wait for the end and gather what is known.

    Args:
        seed: of the events; that of the CRMs' faults is the sandbox's own.
        settle_s: longest wait for the last delivery.
    """
    began = time.monotonic()
    tenant = world.tenant(**PATIENT)
    for vendor in CRM_WRITES:
        tenant.arm(vendor, *({**fault, "path": CRM_WRITES[vendor]} for fault in FAULTS))
    produced = produce(tenant, events // 2, seed)
    pages = numbers(directory / "metrics")
    for name in RESTARTED:
        world.restart(name)
    second = produce(tenant, events - events // 2, seed + 1, events // 2)
    produced.contexts |= second.contexts
    produced.quarantined |= second.quarantined
    produced.unexpected += second.unexpected
    tenant.wait_until_settled(settle_s)
    faults = sum(tenant.faults_fired(vendor) for vendor in CRM_WRITES)
    settled_s = time.monotonic() - began
    pages |= {f"{name} at the end": text for name, text in numbers(directory / "metrics").items()}
    pages |= views(tenant, directory)
    history = _gather(tenant, produced, pages, directory, seed)
    return Run(produced, history, faults, settled_s)


def numbers(targets: Path) -> dict[str, str]:
    """Return what each process tells at /metrics, with exemplars, by service and replica."""
    found = {}
    for file in sorted(targets.glob("*.json")):
        (target,) = json.loads(file.read_text(encoding="utf-8"))[0]["targets"]
        answer = httpx.get(f"http://{target}/metrics", headers={"Accept": "application/openmetrics-text"})
        found[f"metrics of {file.stem}"] = answer.raise_for_status().text
    return found


def _gather(
    tenant: Tenant, produced: Produced, pages: Mapping[str, str], directory: Path, seed: int
) -> History:
    """End the services, so that every span is exported, crash them once, and read all there is."""
    world = tenant.world
    attempts = [
        Attempt(
            row["connector"],
            row["entity_id"],
            row["attempt_number"],
            row["outcome"],
            _ids(row["trace_id"], row["span_id"]),
        )
        for row in world.fetch(ATTEMPTS, tenant.id)
    ]
    for name in reversed(ORDER):
        if name != "console":
            world.children[name].end()
    crash(tenant)
    asked = random.Random(seed).sample(sorted(produced.contexts), min(LOOKED_FOR, len(produced.contexts)))
    find_s = {}
    for key in asked:
        began = time.perf_counter()
        if world.console.traces(event_key=key):
            find_s[key] = time.perf_counter() - began
    logs = {
        f"log of {name}": child.log.read_text(encoding="utf-8", errors="replace")
        for name, child in world.children.items()
    }
    lost = {name: _lost(text) for name, text in pages.items()}
    lost["the store"] = float(world.console.stats().spans_dropped)
    return History(
        _stored(directory / "console" / FILE_NAME),
        attempts,
        produced.contexts,
        {**pages, **logs},
        find_s,
        asked,
        lost,
    )


def _ids(trace_id: object, span_id: object) -> tuple[str, str]:
    def text(value: object) -> str:
        return value.hex() if isinstance(value, bytes) else str(value)

    return text(trace_id), text(span_id)


def _stored(path: Path) -> list[StoredSpan]:
    spans: list[StoredSpan] = []
    with reading(path) as reader:
        for summary in reader.traces(event_key=None, service=None, limit=TRACES_MAX):
            trace = reader.trace(bytes.fromhex(summary.trace_id))
            assert trace is not None
            assert trace.spans_left_out == 0, f"{summary.trace_id} is too large to be read whole"
            spans += trace.spans
    return spans


def _lost(page: str) -> float:
    """Return how many spans a page says were dropped or failed."""
    lines = (line for line in page.splitlines() if line.startswith("headwater_otel_spans_total"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if '"exported"' not in line)

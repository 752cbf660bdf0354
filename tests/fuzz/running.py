"""The service under test: a real process on a database of its own, its log, and what must hold at the end of a run."""

from __future__ import annotations

import json
import os
import random
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from tests.fuzz.judging import RUN_TENANTS
from tests.fuzz.policy import POLICY, POLICY_TENANT, TENANTS, policy_event
from tests.fuzz.seen import Seen
from tests.system.processes import Child

from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc

CALL_S: Final = 20.0
READ_BACK: Final = 5_000
"""Events of those acknowledged that are read back one by one at the end."""
BAD_LEVELS: Final = frozenset({"error", "critical"})
NOTES_MAX: Final = 10


@contextmanager
def ingest_process(database_url: str, folder: Path) -> Iterator[Child]:
    """An ingest process while the block runs."""
    environment = {
        "HEADWATER_DATABASE_URL": database_url,
        "HEADWATER_INGEST_PROCESSES": "1",
        "HEADWATER_INGEST_ADDRESS": "127.0.0.1:0",
        "HEADWATER_SYNC_ADDRESS": "127.0.0.1:1",
        "HEADWATER_DURABILITY_OVERRIDE": "true",
        "HEADWATER_LOG_LEVEL": "info",
        "GRPC_ENABLE_FORK_SUPPORT": "0",
    }
    child = Child("ingest", {**_without_exporter(), **environment}, folder / "ingest.stderr")
    child.start()
    try:
        yield child
    finally:
        child.end()


def _without_exporter() -> dict[str, str]:
    return {name: "" for name in os.environ if name.startswith("OTEL_")}


@asynccontextmanager
async def stub_of(address: str) -> AsyncIterator[ingest_pb2_grpc.IngestServiceAsyncStub]:
    """Call the service on *address*."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield ingest_pb2_grpc.IngestServiceStub(channel)


async def apply_policies(address: str, seen: Seen) -> None:
    """Put the policy in force for the run's tenants."""
    payload = json.dumps({"document": POLICY}).encode()
    async with stub_of(address) as stub:
        for tenant in (*TENANTS, POLICY_TENANT):
            request = ingest_pb2.RecordEventRequest(tenant_id=tenant, event=policy_event(payload))
            answer = await stub.RecordEvent(request, timeout=CALL_S)
            assert answer.outcome.disposition in {1, 2}
            seen.note(tenant, answer.outcome.event_key, quarantined=False)


async def check_log(address: str, seen: Seen, chance: random.Random, read_back: int = READ_BACK) -> list[str]:
    """Return what is wrong with the log after a run: counts that are off, acknowledged events that are not there."""
    notes: list[str] = []
    async with stub_of(address) as stub:
        for tenant in RUN_TENANTS:
            request = ingest_pb2.GetIngestStatusRequest(tenant_id=tenant)
            answer = await stub.GetIngestStatus(request, timeout=CALL_S)
            counted = sum(item.count for item in answer.counts)
            told, unsure = len(seen.keys[tenant]), seen.uncertain[tenant]
            if not told <= counted <= told + unsure:
                notes.append(f"{tenant}: {counted} events in the log, {told} acknowledged, {unsure} unsure")
        notes += [note async for note in _missing(stub, seen, chance, read_back)]
    return notes[:NOTES_MAX]


async def _missing(stub: Any, seen: Seen, chance: random.Random, read_back: int) -> AsyncIterator[str]:
    known = [(tenant, key) for tenant, keys in sorted(seen.keys.items()) for key in sorted(keys)]
    for tenant, key in chance.sample(known, min(len(known), read_back)):
        text = str(uuid.UUID(bytes=key))
        try:
            answer = await stub.GetEvent(
                ingest_pb2.GetEventRequest(tenant_id=tenant, event_key=text), timeout=CALL_S
            )
        except grpc.aio.AioRpcError as error:
            yield f"acknowledged event {text} of {tenant!r}: GetEvent says {error.code().name}"
        else:
            if answer.event.event_key != text:
                yield f"asked for {text} of {tenant!r}, got {answer.event.event_key}"


def log_faults(lines: Iterable[str]) -> list[str]:
    """Return what a service's log complains of: lines of level error or critical, and lines that are no log lines."""
    faults: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        try:
            level = str(json.loads(line)["level"]).lower()
        except (ValueError, KeyError, TypeError):
            faults.append(f"log: {line[:300]}")
            continue
        if level in BAD_LEVELS:
            faults.append(f"log: {line[:1000]}")
    return faults[:NOTES_MAX]

"""Events with planted personal values, each under a producer's span of its own. Asserts nothing."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
from tests.system.tenant import EPOCH, Tenant

from headwater.client import Accepted, Duplicate, IngestClient, Quarantined
from headwater.client.writing import event
from headwater.event.v1 import event_pb2
from headwater.kernel.telemetry import Telemetry, TelemetrySettings, start_telemetry
from headwater.kernel.telemetry.rpc import client_tracing

SERVICE: Final = "producer"
BATCH_EVENTS: Final = 25
CALLERS: Final = 4
"""Together they have fewer events under way than a span has links: every event is linked to its commit."""
BAD_SHARE: Final = 0.02
REFUSED_SHARE: Final = 0.03
"""Of events with a first name that Salesforce refuses, and quotes."""
FLUSH_S: Final = 20.0

EMAIL: Final = "canary"
DOMAIN: Final = "quillfeather"
FIRST_NAME: Final = "Wilhelmina"
LAST_NAME: Final = "Oakapple"
PHONE: Final = "3055"
TOKEN: Final = "planted-token"


@dataclass(slots=True)
class Produced:
    """What was sent and answered.

    Args:
        contexts: event key to trace id and span id of its producer's span; of accepted events.
        quarantined: keys of those that broke the contract.
    """

    contexts: dict[str, tuple[str, str]] = field(default_factory=dict)
    quarantined: set[str] = field(default_factory=set)
    unexpected: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Fact:
    source: str
    person: int
    number: int
    bad: bool
    refused: bool


def produce(tenant: Tenant, events: int, seed: int, first: int = 0) -> Produced:
    """Record *events* of half as many people, numbered from *first*, and return once every one is answered."""
    endpoint = f"http://{tenant.world.address('otlp')}"
    settings = TelemetrySettings(otlp_endpoint=endpoint, sample_ratio=1.0)
    telemetry = start_telemetry(SERVICE, settings, environ={})
    try:
        return anyio.run(_produce, tenant, telemetry, events, seed, first)
    finally:
        if not telemetry.shutdown(FLUSH_S):
            raise AssertionError(f"the producer's spans were not taken: {telemetry.stats()}")


async def _produce(tenant: Tenant, telemetry: Telemetry, events: int, seed: int, first: int) -> Produced:
    produced = Produced()
    batches = _batches(events, random.Random(seed), first)
    interceptors = client_tracing(telemetry.tracer)
    async with IngestClient(tenant.world.address("ingest"), tenant.id, interceptors=interceptors) as client:

        async def send() -> None:
            for batch in batches:
                messages = [_message(telemetry, fact) for fact in batch]
                outcomes = await client.record(messages)
                for message, fact, outcome in zip(messages, batch, outcomes, strict=True):
                    match outcome:
                        case Accepted(key) | Duplicate(key) if not fact.bad:
                            _, trace_id, span_id, _ = message.trace.traceparent.split("-")
                            produced.contexts[key] = (trace_id, span_id)
                        case Quarantined(key) if fact.bad:
                            produced.quarantined.add(key)
                        case _:
                            produced.unexpected.append(f"event {fact.number}: {outcome}")

        async with anyio.create_task_group() as tasks:
            for _ in range(CALLERS):
                tasks.start_soon(send)
    return produced


def _batches(events: int, chance: random.Random, first: int) -> Iterator[Sequence[_Fact]]:
    people = max(1, events // 2)
    for start in range(0, events, BATCH_EVENTS):
        yield [
            _Fact(
                chance.choice(("erp", "erp", "shop")),
                number % people,
                first + number,
                chance.random() < BAD_SHARE,
                chance.random() < REFUSED_SHARE,
            )
            for number in range(start, min(start + BATCH_EVENTS, events))
        ]


def _message(telemetry: Telemetry, fact: _Fact) -> event_pb2.Event:
    person = fact.person
    address = f"{EMAIL}.{person}@{DOMAIN}-{person % 97}.example"
    payload = {
        "email": f"{EMAIL} {person} at {DOMAIN}" if fact.bad else address,
        "first_name": "-".join([FIRST_NAME] * 5) if fact.refused else FIRST_NAME,
        "last_name": f"{LAST_NAME} {person}",
        "phone": f"+49 {PHONE}{person:06}",
        "title": f"Weaver {fact.number}",
        "api_key": f"{TOKEN}-{fact.number}",
    }
    with telemetry.spans.root("import row"):
        return event(
            fact.source,
            "contact",
            f"c-{person:05}",
            payload,
            event_time=EPOCH + dt.timedelta(seconds=fact.number),
        )

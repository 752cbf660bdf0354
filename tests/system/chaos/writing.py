"""Writers that never stop asking: several senders at once by every road into ingest, each answer journalled.

An unknown answer is asked for again with the same key; the unary senders do so only after newer changes of
the same records went ahead, so that late events arrive out of order. Every loop is bounded: by `stop`, then
by `FINISH_S`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
import grpc
from tests.system.chaos.facts import Facts, as_event, places
from tests.system.chaos.journal import Answer, Journal, Sent

from headwater.client.ingest import ClientSettings, IngestClient
from headwater.client.outcomes import Accepted, Duplicate, Outcome
from headwater.client.stream import Acknowledged
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.errors import HeadwaterError

CALL_S: Final = 4.0
FINISH_S: Final = 40.0
"""From the last restart until every key is answered."""
PAUSE_S: Final = (0.02, 0.12)
"""Shortest and longest pause between two requests of one sender."""
BATCH_EVENTS: Final = (2, 8)
RECONNECT: Final = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 400),
    ("grpc.enable_retries", 0),
)
"""Without the channel's own retries: the writer is to see what is unknown."""
SENDERS: Final = ("unary", "batch", "stream", "unary", "batch")


@dataclass(frozen=True, slots=True)
class Desk:
    """What every sender shares."""

    address: str
    tenant_id: str
    journal: Journal
    stop: anyio.Event


async def write(desk: Desk, chance: random.Random) -> None:
    """Send changes by every road until `desk.stop`, then until every key is answered.

    Raises:
        TimeoutError: some key was not answered within `FINISH_S` of the stop.
    """
    own = [places()[number :: len(SENDERS)] for number in range(len(SENDERS))]
    roads = {"unary": _send_singly, "batch": _send_batches, "stream": _send_stream}
    async with grpc.aio.insecure_channel(desk.address, options=RECONNECT) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        async with anyio.create_task_group() as tasks:
            for road, part in zip(SENDERS, own, strict=True):
                seeded = random.Random(chance.random())
                tasks.start_soon(roads[road], desk, stub, Facts(part, seeded), seeded)
            await desk.stop.wait()
            tasks.cancel_scope.deadline = anyio.current_time() + FINISH_S
        if tasks.cancel_scope.cancelled_caught:
            raise TimeoutError(f"not every key was answered within {FINISH_S} s of the last fault")


async def _send_singly(desk: Desk, stub: Any, facts: Facts, chance: random.Random) -> None:
    backlog: list[Sent] = []
    while backlog or not desk.stop.is_set():
        again = backlog and (desk.stop.is_set() or chance.random() < 0.3)  # noqa: PLR2004 - most go ahead
        item = backlog.pop(0) if again else facts.next()
        desk.journal.asked(item)
        request = ingest_pb2.RecordEventRequest(tenant_id=desk.tenant_id, event=as_event(item))
        try:
            answer = await stub.RecordEvent(request, timeout=CALL_S)
            _note(desk.journal, [item], [answer.outcome])
        except grpc.aio.AioRpcError as error:
            desk.journal.lost([item], error.code().name)
            backlog.append(item)
        await anyio.sleep(chance.uniform(*PAUSE_S))


async def _send_batches(desk: Desk, stub: Any, facts: Facts, chance: random.Random) -> None:
    while not desk.stop.is_set():
        items = [facts.next() for _ in range(chance.randint(*BATCH_EVENTS))]
        await _insist(desk, stub, items, chance)


async def _insist(desk: Desk, stub: Any, items: Sequence[Sent], chance: random.Random) -> None:
    """Send one batch until it is answered: its records wait for it."""
    for item in items:
        desk.journal.asked(item)
    request = ingest_pb2.BatchRecordEventsRequest(
        tenant_id=desk.tenant_id, events=[as_event(item) for item in items]
    )
    while True:
        try:
            answer = await stub.BatchRecordEvents(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            desk.journal.lost(items, error.code().name)
            await anyio.sleep(chance.uniform(*PAUSE_S))
            continue
        _note(desk.journal, items, answer.outcomes)
        await anyio.sleep(chance.uniform(*PAUSE_S))
        return


async def _send_stream(desk: Desk, _: Any, facts: Facts, chance: random.Random) -> None:
    """Send by the product's own client, whose business the unknown is here."""
    pending: dict[int, list[Sent]] = {}

    def acknowledged(batch: Acknowledged) -> None:
        for item, outcome in zip(pending.pop(batch.batch_number), batch.outcomes, strict=True):
            desk.journal.answered(item.request_id, _read(outcome))

    settings = ClientSettings(call_timeout_s=CALL_S, acknowledge_timeout_s=CALL_S)
    async with (
        IngestClient(desk.address, desk.tenant_id, settings=settings, chance=chance) as client,
        client.stream(acknowledged) as stream,
    ):
        while not desk.stop.is_set():
            items = [facts.next() for _ in range(chance.randint(*BATCH_EVENTS))]
            for item in items:
                desk.journal.asked(item)
            pending[await stream.send([as_event(item) for item in items])] = items
            await anyio.sleep(chance.uniform(*PAUSE_S))


def _note(journal: Journal, items: Sequence[Sent], outcomes: Sequence[ingest_pb2.EventOutcome]) -> None:
    for item, outcome in zip(items, outcomes, strict=True):
        name = ingest_pb2.Disposition.Name(outcome.disposition).removeprefix("DISPOSITION_")
        journal.answered(item.request_id, Answer(name, outcome.event_key))


def _read(outcome: Outcome) -> Answer:
    match outcome:
        case Accepted():
            return Answer("ACCEPTED", outcome.event_key)
        case Duplicate():
            return Answer("DUPLICATE", outcome.event_key)
    raise HeadwaterError(f"a sound event was answered {outcome}", reason="UNEXPECTED_OUTCOME")

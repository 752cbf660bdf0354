"""Spans of a flush: one a batch, under the call, linked to the sampled events; none where nothing is sampled."""

from __future__ import annotations

import random

import pytest
from opentelemetry.trace import SpanKind
from tests.unit.ingest.arrivals import new_event
from tests.unit.ingest.usecases.test_flushing import MemoryLog, NoPolicies

from headwater.ingest.usecases.flushing import Flusher, FlushSettings
from headwater.ingest.usecases.gathering import Gather, Ticket
from headwater.ingest.usecases.policies import PolicyBook, PolicyBookSettings
from headwater.kernel.telemetry import Spans, TraceContext
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer

pytestmark = pytest.mark.anyio
SAMPLED = [f"00-{number:032x}-{number:016x}-01" for number in (1, 2, 3)]
UNSAMPLED = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"


async def _spans_of_flush(*tickets: Ticket) -> tuple[RecordedSpan, ...]:
    exporter: list[RecordedSpan] = []
    gather = Gather(rows_max=1000, bytes_max=10**9)
    policies = PolicyBook(NoPolicies(), PolicyBookSettings(), random.Random(1))
    spans = Spans(RecordingTracer(1.0, exporter.append))
    for ticket in tickets:
        gather.offer(ticket)
    gather.close()
    await Flusher(gather, MemoryLog(), policies, spans, FlushSettings(), random.Random(1)).run()
    return tuple(exporter)


def _events(*traceparents: str) -> Ticket:
    return Ticket([new_event(external_id=item or "none", traceparent=item) for item in traceparents])


async def test_nothing_sampled_makes_no_span() -> None:
    """A flush of unsampled events and calls costs nothing."""
    call = TraceContext.parse(UNSAMPLED)
    assert await _spans_of_flush(Ticket([new_event(traceparent=UNSAMPLED)], call), _events("")) == ()


async def test_one_span_links_every_sampled_event() -> None:
    """However many callers' tickets the batch holds."""
    (span,) = await _spans_of_flush(_events(SAMPLED[0], UNSAMPLED), _events(SAMPLED[1], ""))
    assert (span.name, span.kind) == ("send event_log", SpanKind.PRODUCER)
    assert [link.context.trace_id for link in span.links] == [1, 2]
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 4


async def test_the_span_is_a_child_of_a_sampled_call() -> None:
    """A unary caller finds the commit in its own trace."""
    ticket = Ticket([new_event(traceparent=SAMPLED[0])], TraceContext.parse(SAMPLED[2]))
    (span,) = await _spans_of_flush(ticket)
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (3, 3)

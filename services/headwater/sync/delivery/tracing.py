"""The spans of one batch: one `receive` for all, one `process` for each attempt, one `settle`.

Owns which context an attempt gets; must not decide anything about it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import ActiveSpan, SpanHandle, Spans, TraceContext, attempt_relation, names
from headwater.kernel.telemetry.span import Attributes, SpanGroup
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.settling import Settlement

QUEUE: Final = "headwater.deliveries"
"""Name of the deliveries as a queue, in spans."""


@dataclass(frozen=True, slots=True)
class BatchSpans:
    """The open spans of a batch.

    Args:
        traces: entity to the context of its attempt.
    """

    traces: Mapping[uuid.UUID, TraceContext | None]
    _spans: Spans
    _by_entity: Mapping[uuid.UUID, SpanHandle]

    @contextmanager
    def settling(self, settlements: Sequence[Settlement]) -> Iterator[None]:
        """Tell each attempt's span how it ended, and span the settling itself."""
        for item in settlements:
            _tell(self._by_entity[item.claimed.entity_id], item)
        with self._spans.settle(QUEUE, len(settlements), (item.trace for item in settlements)):
            yield


@contextmanager
def batch_spans(spans: Spans, clock: Clock, claimed: Sequence[Claimed]) -> Iterator[BatchSpans]:
    """Span a batch and its attempts while the block runs."""
    with spans.receive(QUEUE, len(claimed), (item.trace for item in claimed)):
        ordered, now = _sampled_last(claimed), clock.now()
        opened = [_open(spans, now, item) for item in ordered]
        by_entity = {item.entity_id: span.handle for item, span in zip(ordered, opened, strict=True)}
        with SpanGroup(opened):
            yield BatchSpans({key: span.context for key, span in by_entity.items()}, spans, by_entity)


def _open(spans: Spans, now: dt.datetime, item: Claimed) -> ActiveSpan:
    attempt = item.tries_before + 1
    relation = attempt_relation(item.mark_time, now, attempt)
    span = spans.process(QUEUE, relation, created=item.trace, previous=item.last_trace, attempt=attempt)
    if span.handle.recording:
        span.handle.update(_attributes(item))
    return span


def _attributes(item: Claimed) -> Attributes:
    return {
        names.TENANT: item.tenant_id,
        names.EVENT_KEY: str(item.event_key),
        names.CONNECTOR: item.connector,
        names.ENTITY_ID: str(item.entity_id),
        names.OBJECT: item.object,
    }


def _tell(span: SpanHandle, settlement: Settlement) -> None:
    """Write on the attempt's span how it ended; the vendor's words stay off it, they may quote a record."""
    span.set(names.OUTCOME, settlement.outcome or "waits")
    if settlement.error_class:
        span.error(settlement.error_class, settlement.error_code)


def _sampled_last(claimed: Sequence[Claimed]) -> list[Claimed]:
    """Order so that a sampled delivery's span is the innermost: the HTTP call becomes its child."""
    return sorted(claimed, key=lambda item: item.trace is not None and item.trace.sampled)

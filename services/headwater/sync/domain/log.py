"""Events as the projector reads them from the log, and positions in it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from headwater.kernel.telemetry import TraceContext
from headwater.kernel.telemetry.old_news import is_old_news

OPERATION_DELETE: Final = 2
"""event.proto, Operation."""


class Position(NamedTuple):
    """A place in a shard of the log; positions order by transaction, then sequence."""

    xid: int
    seq: int


START: Final = Position(0, 0)
"""Before the first event."""
NOWHERE: Final[Mapping[int, Position]] = MappingProxyType({})
"""No shard's position."""


class RecordKey(NamedTuple):
    """A source record, tenant first."""

    tenant_id: str
    object: str
    source: str
    external_id: str


class Scope(NamedTuple):
    """Whose events are projected again.

    Args:
        tenants: none: those of all.
        reached: shard to the position up to which it was projected before.
    """

    tenants: frozenset[str] = frozenset()
    reached: Mapping[int, Position] = MappingProxyType({})

    def passes_over(self, event: LogEvent) -> bool:
        """Say whether *event* was projected before and is not to be projected again."""
        if not self.tenants or event.tenant_id in self.tenants:
            return False
        return event.position <= self.reached.get(event.shard, START)


def bulk_side(shard: int) -> int:
    """Return the number under which positions of a shard's bulk events are kept; of that number, the shard's again.

    A shard is read twice: at the front by what is live, which sets bulk events aside, and behind it by what takes those up.
    """
    return ~shard


class LogEvent(msgspec.Struct, frozen=True):
    """One accepted event.

    Args:
        payload: UTF-8 JSON object; empty for a delete.
        trace: the producer's context; None when there was none.
        shard: below 0: of the bulk side, `bulk_side`.
    """

    tenant_id: str
    event_key: uuid.UUID
    source: str
    object: str
    external_id: str
    event_time: dt.datetime
    record_time: dt.datetime
    operation: int
    actor_id: str
    payload: bytes
    trace: TraceContext | None
    shard: int
    position: Position

    @property
    def is_bulk(self) -> bool:
        """Whether it says itself that it is old news: live events do not wait for it. It never changes its mind."""
        return self.trace is not None and bool(self.trace.tracestate) and is_old_news(self.trace.tracestate)

    @property
    def record_key(self) -> RecordKey:
        """The record that the event is about."""
        return RecordKey(self.tenant_id, self.object, self.source, self.external_id)


class Stretch(NamedTuple):
    """What was read of the log at once.

    Args:
        events: in commit order.
        held: whether writers under way may hold back events that were told of: they come a moment later.
    """

    events: list[LogEvent]
    held: bool = False

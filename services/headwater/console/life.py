"""An event's life as the services tell it, in the values that page, terminal and JSON show.

Pure: messages in, values out. Holds no personal value: no payload, no source's id of a record, no value before or after
a change, no vendor's own words; who may read those asks the services with a credential of his own (`headwater event`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.identity.v1 import identity_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.sync.v1 import sync_pb2

DELIVERIES_MAX: Final = 50
ATTEMPTS_MAX: Final = 200
DECISIONS_MAX: Final = 100
TRACES_MAX: Final = 100
"""Most of each in one life; what is beyond them is counted."""
_TRACE_ID: Final = slice(3, 35)
"""Where a traceparent has its trace id (W3C)."""
_FAILED: Final = frozenset({"failed", "in_doubt"})
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the log holds of the event."""

    source: str
    object: str
    outcome: str
    """`accepted` or `quarantined`."""
    event_time: str
    record_time: str
    position: str
    """Transaction id and number in the log."""
    trace_id: str
    released_from: str = ""
    """Key of the quarantined event that this one releases."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Why and how an event is kept apart."""

    state: str
    broken: tuple[str, ...]
    """`field: rule`."""
    released_as: str = ""


@dataclass(frozen=True, slots=True)
class Projected:
    """How the projector ended it."""

    rule: str
    time: str
    trace_id: str
    entity_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whom identity took the event's record for, as it stands now."""

    entity_id: str
    object: str
    rule: str
    """That joined the record to the entity; empty for the entity's first."""
    time: str
    records: int
    """Of the entity."""
    sources: tuple[str, ...]
    merged_into: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing decided because of the event; of a changed field its name and rule, never its value."""

    time: str
    action: str
    actor: str
    entity_id: str
    connector: str
    policy_version: str
    fields: tuple[str, ...]
    """`field: rule`."""


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt at a CRM, with its own place in a trace."""

    number: int
    version: int
    outcome: str
    error: str
    """Class and code; empty on success."""
    start_time: str
    took_ms: float
    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class DeliveryLife:
    """One CRM's part."""

    connector: str
    object: str
    entity_id: str
    state: str
    desired_version: int
    delivered_version: int
    crm_id: str
    failures: int
    next_attempt_time: str
    settle_time: str
    kept_back: str
    """What the policy keeps it back by: approval, consent."""
    error: str
    """Class and code of the last failure that still counts."""
    said: str
    """The vendor's words of it with every id, number, address and quoted value taken out."""
    what_to_do: str
    """Code of the runbook page about the error; empty unless there is one."""
    owner: str
    """Who answers for the account."""
    runbook: str
    """The account's own runbook, as the policy has it."""
    attempts: tuple[Try, ...]

    @property
    def dead(self) -> bool:
        """Whether nothing more is tried."""
        return self.state == "dead"


@dataclass(frozen=True, slots=True)
class LifeTrace:
    """One trace that a part of the life is in."""

    trace_id: str
    part: str
    """`recorded`, `projected`, `hubspot attempt 2`."""
    span_id: str = ""
    held: bool = False
    """Whether the console's store has spans of it."""


@dataclass(frozen=True, slots=True)
class EventLife:
    """All of it, and what could not be told."""

    tenant_id: str
    event_key: str
    recorded: Recorded | None = None
    quarantined: Quarantined | None = None
    projected: Projected | None = None
    resolved: tuple[Resolved, ...] = ()
    decisions: tuple[Decision, ...] = ()
    deliveries: tuple[DeliveryLife, ...] = ()
    traces: tuple[LifeTrace, ...] = ()
    missing: tuple[str, ...] = ()
    """One sentence for each part that a service did not tell, and why."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Kind to how many of it are beyond the bound."""

    def with_held(self, held: Iterable[str]) -> EventLife:
        """Return the same, its traces marked that the store holds."""
        known = frozenset(held)
        return replace(self, traces=tuple(replace(item, held=item.trace_id in known) for item in self.traces))


@dataclass(slots=True)
class Told:
    """What the services answered; None where they did not, with the reason in `missing`."""

    tenant_id: str
    event_key: str
    found: ingest_pb2.GetEventResponse | None = None
    fate: sync_pb2.EventFate | None = None
    entities: list[identity_pb2.Entity] = field(default_factory=list)
    groups: list[sync_pb2.ErrorGroup] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def life_of(told: Told) -> EventLife:
    """Put the answers together."""
    fate = told.fate or sync_pb2.EventFate()
    left_out: dict[str, int] = {}
    decisions = _first("decisions", fate.audit, DECISIONS_MAX, left_out)
    deliveries = _first("deliveries", fate.deliveries, DELIVERIES_MAX, left_out)
    attempts = _first("attempts", fate.attempts, ATTEMPTS_MAX, left_out)
    traces = _first("traces", list(_traces(told.found, fate)), TRACES_MAX, left_out)
    return EventLife(
        tenant_id=told.tenant_id,
        event_key=told.event_key,
        recorded=_recorded(told.found.event) if told.found is not None else None,
        quarantined=_quarantined(told.found),
        projected=_projected(fate) if told.fate is not None else None,
        resolved=tuple(_resolved(one, told.found) for one in told.entities),
        decisions=tuple(_decision(one) for one in decisions),
        deliveries=tuple(_delivery(one, attempts, told.groups) for one in deliveries),
        traces=tuple(traces),
        missing=tuple(told.missing),
        left_out=left_out,
    )


def moment(stamp: Timestamp) -> str:
    """Return a moment in UTC to the millisecond, as RFC 3339 has it; empty when it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return ""
    return f"{stamp.ToDatetime(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _first(kind: str, items: Sequence[_Item], most: int, left_out: dict[str, int]) -> Sequence[_Item]:
    if len(items) > most:
        left_out[kind] = len(items) - most
    return items[:most]


def _recorded(event: ingest_pb2.RecordedEvent) -> Recorded:
    said = event.event
    return Recorded(
        source=said.source,
        object=said.object,
        outcome=ingest_pb2.Disposition.Name(event.disposition).removeprefix("DISPOSITION_").lower(),
        event_time=moment(said.event_time),
        record_time=moment(event.record_time),
        position=f"{event.position.xid}:{event.position.seq}",
        trace_id=said.trace.traceparent[_TRACE_ID],
        released_from=event.released_from,
    )


def _quarantined(found: ingest_pb2.GetEventResponse | None) -> Quarantined | None:
    if found is None or not found.HasField("quarantine"):
        return None
    entry = found.quarantine
    return Quarantined(
        state=ingest_pb2.QuarantineState.Name(entry.state).removeprefix("QUARANTINE_STATE_").lower(),
        broken=tuple(f"{one.field}: {one.rule}" for one in entry.violations),
        released_as=entry.released_as,
    )


def _projected(fate: sync_pb2.EventFate) -> Projected:
    return Projected(fate.projection, moment(fate.project_time), fate.trace_id, tuple(fate.entity_ids))


def _resolved(entity: identity_pb2.Entity, found: ingest_pb2.GetEventResponse | None) -> Resolved:
    named = found.event.event if found is not None else None
    own = next(
        (
            one
            for one in entity.members
            if named is not None
            and (one.record.source, one.record.external_id) == (named.source, named.external_id)
        ),
        identity_pb2.Member(),
    )
    return Resolved(
        entity_id=entity.entity_id,
        object=entity.object,
        rule=own.rule,
        time=moment(own.resolve_time),
        records=len(entity.members),
        sources=tuple(dict.fromkeys(one.record.source for one in entity.members)),
        merged_into=entity.merged_into,
    )


def _decision(entry: sync_pb2.AuditEntry) -> Decision:
    return Decision(
        time=moment(entry.audit_time),
        action=entry.action,
        actor=entry.actor,
        entity_id=entry.entity_id,
        connector=entry.connector,
        policy_version=entry.policy_version,
        fields=tuple(f"{one.field}: {one.rule}" if one.rule else one.field for one in entry.changes),
    )


def _delivery(
    row: sync_pb2.Delivery, attempts: Iterable[sync_pb2.Attempt], groups: Iterable[sync_pb2.ErrorGroup]
) -> DeliveryLife:
    own = [one for one in attempts if (one.connector, one.entity_id) == (row.connector, row.entity_id)]
    kept_back = row.last_error if row.state == sync_pb2.DELIVERY_STATE_HELD else ""
    failed_as = "" if kept_back else row.last_error.partition(":")[0]
    last = next(
        (one for one in reversed(own) if one.outcome in _FAILED and one.error_class == failed_as), None
    )
    group = _group_of(row, failed_as, last.error_code if last else "", groups) if failed_as else None
    return DeliveryLife(
        connector=row.connector,
        object=row.object,
        entity_id=row.entity_id,
        state=sync_pb2.DeliveryState.Name(row.state).removeprefix("DELIVERY_STATE_").lower(),
        desired_version=row.desired_version,
        delivered_version=row.delivered_version,
        crm_id=row.crm_id,
        failures=row.failure_count,
        next_attempt_time=moment(row.next_attempt_time),
        settle_time=moment(row.settle_time),
        kept_back=kept_back,
        error=_error(failed_as, last.error_code if last else ""),
        said=group.message if group is not None else "",
        what_to_do=failed_as,
        owner=group.owner if group is not None else "",
        runbook=group.runbook if group is not None else "",
        attempts=tuple(_try(one) for one in own),
    )


def _group_of(
    row: sync_pb2.Delivery, error_class: str, code: str, groups: Iterable[sync_pb2.ErrorGroup]
) -> sync_pb2.ErrorGroup | None:
    """Return the cause that the delivery is counted under; None where it cannot be told from others."""
    like = [
        one
        for one in groups
        if (one.connector, one.error_class) == (row.connector, error_class) and one.error_code in {code, ""}
    ]
    named = [one for one in like if row.entity_id in one.sample_entity_ids]
    sure = named or like
    return sure[0] if len(sure) == 1 or named else None


def _try(one: sync_pb2.Attempt) -> Try:
    took = one.end_time.ToNanoseconds() - one.start_time.ToNanoseconds()
    return Try(
        number=one.attempt_number,
        version=one.version,
        outcome=one.outcome,
        error=_error(one.error_class, one.error_code),
        start_time=moment(one.start_time),
        took_ms=round(max(0, took) / 1e6, 1),
        trace_id=one.trace_id,
        span_id=one.span_id,
    )


def _error(error_class: str, code: str) -> str:
    return " ".join(part for part in (error_class, code) if part)


def _traces(found: ingest_pb2.GetEventResponse | None, fate: sync_pb2.EventFate) -> Iterator[LifeTrace]:
    """Yield each trace once for each part of the life that is in it."""
    if found is not None and (trace_id := found.event.event.trace.traceparent[_TRACE_ID]):
        yield LifeTrace(trace_id, "recorded")
    if fate.trace_id:
        yield LifeTrace(fate.trace_id, "projected")
    for one in fate.attempts:
        if one.trace_id:
            yield LifeTrace(one.trace_id, f"{one.connector} attempt {one.attempt_number}", one.span_id)

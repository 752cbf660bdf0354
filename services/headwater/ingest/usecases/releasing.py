"""The two ways out of quarantine: into the log, with a corrected payload if need be, or ended with a reason."""

from __future__ import annotations

import uuid

from headwater.ingest.domain.contract import judge, skew_of
from headwater.ingest.domain.envelope import (
    RELEASE_PREFIX,
    WellFormed,
    actor_violations,
    read_envelope,
    text_violations,
)
from headwater.ingest.domain.event import Actor, Arrival, NewEvent, Outcome, QuarantinedEvent, QuarantineState
from headwater.ingest.domain.keys import key_text
from headwater.ingest.domain.minting import microseconds, mint
from headwater.ingest.ports import Quarantine
from headwater.ingest.usecases.policies import PolicyBook
from headwater.kernel.clock import Clock
from headwater.kernel.errors import FieldViolation, InvalidInput, NotFound, PreconditionFailed
from headwater.kernel.telemetry import TraceContext

DISCARD_REASON_CHARS_MAX = 255


class Releaser:
    """Ends the wait of quarantined events."""

    def __init__(self, quarantine: Quarantine, policies: PolicyBook, clock: Clock) -> None:
        self._quarantine = quarantine
        self._policies = policies
        self._clock = clock

    async def release(
        self,
        tenant_id: str,
        event_key: uuid.UUID,
        *,
        payload: bytes,
        actor: Actor,
        call: TraceContext | None,
    ) -> uuid.UUID:
        """Put a quarantined event into the log and return its new key; idempotent.

        Args:
            payload: the corrected one; empty keeps the recorded one.
            actor: who releases it.

        Raises:
            NotFound: no such entry.
            PreconditionFailed: it still breaks the contract, or was discarded.
        """
        _check_actor(actor)
        entry = await self._entry(tenant_id, event_key)
        event = await self._corrected(entry, payload, call) if entry.state is QuarantineState.OPEN else None
        if event is not None:
            state = await self._quarantine.release(event_key, event, actor)
            if state is QuarantineState.OPEN:
                return uuid.UUID(bytes=event.event_key)
            entry = await self._entry(tenant_id, event_key)
        if entry.released_as is None:
            message = f"event {event_key} was discarded: {entry.discard_reason}"
            raise PreconditionFailed(message, reason="DISCARDED")
        return entry.released_as

    async def discard(self, tenant_id: str, event_key: uuid.UUID, reason: str, actor: Actor) -> None:
        """End a quarantined event with a reason; idempotent.

        Raises:
            NotFound: no such entry.
            PreconditionFailed: it was released.
        """
        violations = tuple(text_violations("discard_reason", reason, DISCARD_REASON_CHARS_MAX, required=True))
        _check_actor(actor, violations)
        state = await self._quarantine.discard(tenant_id, event_key, reason, actor)
        if state is None:
            raise _not_found(event_key)
        if state is QuarantineState.RELEASED:
            raise PreconditionFailed(f"event {event_key} was released", reason="RELEASED")

    async def _entry(self, tenant_id: str, event_key: uuid.UUID) -> QuarantinedEvent:
        entry = await self._quarantine.get_quarantined(tenant_id, event_key)
        if entry is None:
            raise _not_found(event_key)
        return entry

    async def _corrected(
        self, entry: QuarantinedEvent, payload: bytes, call: TraceContext | None
    ) -> NewEvent:
        kept = entry.recorded.event
        arrival = _arrival(kept, payload)
        policy = await self._policies.find(kept.tenant_id)
        now_us = microseconds(self._clock.now())
        read = read_envelope(arrival, now_us=now_us, skew_s=skew_of(policy, kept.source), releasing=True)
        if not isinstance(read, WellFormed):
            raise _still_broken(kept.event_key, read)
        judged = judge(policy, kept.tenant_id, read)
        violations = judged.violations if isinstance(judged, Outcome) else judged
        if violations:
            raise _still_broken(kept.event_key, violations)
        return mint(kept.tenant_id, read, call=call, released_from=kept.event_key)


def _arrival(kept: NewEvent, payload: bytes) -> Arrival:
    return Arrival(
        source=kept.source,
        object=kept.object,
        external_id=kept.external_id,
        source_version=kept.source_version,
        event_time_us=kept.event_time_us,
        operation=kept.operation,
        payload=payload or kept.payload,
        actor=kept.actor,
        request_id=f"{RELEASE_PREFIX}{key_text(kept.event_key)}",
        traceparent="",
        tracestate="",
    )


def _check_actor(actor: Actor, violations: tuple[FieldViolation, ...] = ()) -> None:
    violations = (*violations, *actor_violations(actor, "actor"))
    if not actor.actor_id:
        violations = (*violations, FieldViolation("actor.id", "", "required", "must say who decides this"))
    if violations:
        raise InvalidInput("the request is malformed", violations=violations)


def _not_found(event_key: uuid.UUID) -> NotFound:
    return NotFound(f"no quarantined event {event_key}", reason="QUARANTINED_EVENT_NOT_FOUND")


def _still_broken(event_key: bytes, violations: tuple[FieldViolation, ...]) -> PreconditionFailed:
    listed = "; ".join(
        f"{item.field} = {item.value!r} ({item.rule}): {item.description}" for item in violations
    )
    metadata = {
        f"violation.{number}": f"{item.field} {item.rule}" for number, item in enumerate(violations[:20])
    }
    return PreconditionFailed(
        f"event {key_text(event_key)} still breaks the contract: {listed}",
        reason="CONTRACT_BROKEN",
        metadata=metadata,
    )

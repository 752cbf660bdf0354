"""Projecting one batch: read, resolve, then one transaction. The cursor moves with the state.

No transaction is held across a network call: identity is asked first. A batch that the database
refuses is halved until the event that cannot be stored stands alone; that one is poisoned.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import SpanHandle, Spans, TraceContext, attempt_relation, names, under
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.echoing import NOTHING_SEEN, Seen
from headwater.sync.domain.erasing import is_suppressed
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.log import NOWHERE, LogEvent, Position, Scope
from headwater.sync.domain.projecting import PROJECTED, Effect, FetchMark, Resolutions, Workspace
from headwater.sync.domain.reading import (
    Echo,
    IdentityReading,
    Parked,
    PassedOver,
    Pointer,
    Poisoned,
    PolicyReading,
    Reading,
    RecordReading,
)
from headwater.sync.lulls import breathe
from headwater.sync.metering import ProjectionMeter
from headwater.sync.ports import (
    Policies,
    Projections,
    ProjectionUnit,
    Resolver,
    StoreRaced,
    StoreRefused,
)
from headwater.sync.projector.asking import Asking, Told
from headwater.sync.projector.echoes import Echoes, Judged
from headwater.sync.projector.loading import load_workspace
from headwater.sync.projector.moments import Moments, read_by
from headwater.sync.projector.suppressing import Suppressions, SuppressionsMoved

_log = logging.getLogger(__name__)

QUEUE: Final = "headwater.events"
"""Name of the log as a queue, in spans."""
POINTER: Final = "pointer"
"""Rule of events that only say that a record is to be fetched."""
SLICE: Final = 16
"""Events that are applied at a stretch: between, a bulk turn lets live events go first."""
_TRIES_MAX: Final = 8
"""Tries of a transaction that lost a race for locks."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that is read and resolved, and can be committed once the batch before it is.

    Args:
        told: None where echoes must be judged first, by what the batch before it has written.
        received: context of the span under which it was read; what follows is told below it.
        suppressions: number of the newest suppression by which it was judged.
        parked: its events were set aside before: the cursors are past them.
    """

    events: tuple[LogEvent, ...]
    policies: Mapping[str, PolicyDocument]
    readings: Sequence[Reading]
    told: Told | None
    received: TraceContext | None = None
    suppressions: int = 0
    parked: bool = False


class BatchProjector:
    """Projects batches of one or several shards; holds no state between batches."""

    def __init__(
        self,
        projections: Projections,
        resolver: Resolver,
        policies: Policies,
        spans: Spans,
        clock: Clock,
        echoes: Echoes | None = None,
        meter: ProjectionMeter | None = None,
        moments: Moments | None = None,
        scope: Callable[[], Scope] = Scope,
        suppressions: Suppressions | None = None,
    ) -> None:
        self._suppressions = suppressions
        self._moments = moments
        self._scope = scope
        self._meter = meter or ProjectionMeter()
        self._echoes = echoes
        self._projections = projections
        self._asking = Asking(resolver, moments)
        self._policies = policies
        self._spans = spans
        self._clock = clock

    async def prepare(self, events: Sequence[LogEvent]) -> Prepared:
        """Read *events* (1..n, in commit order) and ask identity about them; nothing is written by us.

        Raises:
            Unavailable: identity did not answer.
        """
        return await self._prepare(events, self._scope())

    async def _prepare_again(self, events: Sequence[LogEvent]) -> Prepared:
        """Read events that were set aside: they were never projected, whoever else's are projected again."""
        return replace(await self._prepare(events, Scope()), parked=True)

    async def _prepare(self, events: Sequence[LogEvent], scope: Scope) -> Prepared:
        policies = dict(self._policies.current())
        if self._moments is not None:
            await self._moments.look(events)
        with self._spans.receive(QUEUE, len(events), (event.trace for event in events)) as span:
            readings: list[Reading] = [
                PassedOver(event)
                if scope.passes_over(event)
                else read_by(self._former(event), policies.get(event.tenant_id), event)
                for event in events
            ]
            number = 0
            if self._suppressions is not None:
                readings, number = await self._suppressions.apply(policies, readings)
            waits = self._echoes is not None and self._echoes.concern(policies, readings)
            await breathe()
            told = None if waits else await self._asking.resolve(readings)
        return Prepared(tuple(events), policies, readings, told, span.context, number)

    def _former(self, event: LogEvent) -> PolicyDocument | None:
        return None if self._moments is None else self._moments.of(event)

    async def commit(
        self, leases: Sequence[Lease], prepared: Prepared, moves: Mapping[int, Position] = NOWHERE
    ) -> tuple[Effect, ...]:
        """Write what was prepared and move the shards' cursors behind it.

        Args:
            moves: where else the cursors go, if all of it can be stored in one transaction.

        Raises:
            FenceLost: a shard is another process's now; nothing was written.
            Unavailable: identity did not answer, where it had to be asked now; nothing was written.
        """
        events = prepared.events
        with under(prepared.received):
            judged, told = await self._judge(prepared)
            try:
                seen = judged.seen(told.homes)
                return await self._commit(
                    leases,
                    prepared.policies,
                    judged.readings,
                    told,
                    seen,
                    moves,
                    prepared.suppressions,
                    parked=prepared.parked,
                )
            except SuppressionsMoved:
                _log.info("somebody is erased: a batch is read again")
            except StoreRefused as error:
                return await self._isolate(leases, events, error, parked=prepared.parked)
        preparing = self._prepare_again if prepared.parked else self.prepare
        return await self.commit(leases, await preparing(events), moves)

    async def _judge(self, prepared: Prepared) -> tuple[Judged, Told]:
        if prepared.told is not None or self._echoes is None:
            return Judged(list(prepared.readings)), prepared.told or Told({}, {})
        judged = await self._echoes.judge(prepared.policies, prepared.readings)
        told = await self._asking.resolve(judged.readings)
        revisions = {key: number for key, number in told.revisions.items() if key not in judged.held}
        told = Told({**told.homes, **judged.held}, revisions)
        return await self._echoes.bind(judged, told.homes), told

    async def project(
        self, leases: Sequence[Lease], events: Sequence[LogEvent], *, parked: bool = False
    ) -> tuple[Effect, ...]:
        """Prepare and commit in one go.

        Args:
            parked: whether they were set aside before: no cursor moves.

        Raises:
            FenceLost: a shard is another process's now; nothing was written.
            Unavailable: identity did not answer; nothing was written.
        """
        preparing = self._prepare_again if parked else self.prepare
        return await self.commit(leases, await preparing(events))

    async def _isolate(
        self, leases: Sequence[Lease], events: Sequence[LogEvent], error: StoreRefused, *, parked: bool
    ) -> tuple[Effect, ...]:
        if len(events) == 1:
            _log.error("event %s cannot be stored: %s", events[0].event_key, error)
            poisoned: list[Reading] = [Poisoned(events[0], error.message)]
            return await self._commit(leases, {}, poisoned, Told({}, {}), parked=parked)
        middle = len(events) // 2
        first = await self.project(leases, events[:middle], parked=parked)
        return first + await self.project(leases, events[middle:], parked=parked)

    async def _commit(
        self,
        leases: Sequence[Lease],
        policies: Mapping[str, PolicyDocument],
        readings: Sequence[Reading],
        told: Told,
        seen: Seen = NOTHING_SEEN,
        moves: Mapping[int, Position] = NOWHERE,
        suppressions: int | None = None,
        *,
        parked: bool = False,
    ) -> tuple[Effect, ...]:
        for remaining in reversed(range(_TRIES_MAX)):
            try:
                async with self._projections.transaction(leases) as unit:
                    effects = await self._write(
                        unit, policies, readings, told, seen, moves, suppressions, parked=parked
                    )
            except StoreRaced:
                if not remaining:
                    raise
            else:
                self._meter.projected(effects)
                return effects
        raise AssertionError("unreachable: the last try returns or raises")

    async def _write(
        self,
        unit: ProjectionUnit,
        policies: Mapping[str, PolicyDocument],
        readings: Sequence[Reading],
        told: Told,
        seen: Seen,
        moves: Mapping[int, Position],
        suppressions: int | None,
        *,
        parked: bool,
    ) -> tuple[Effect, ...]:
        workspace = Workspace(policies, told.revisions)
        await load_workspace(unit, workspace, readings, told.homes)
        if self._suppressions is not None:
            # after the locks: whoever waits for transactions that began before an order sees this one
            if suppressions is not None and await unit.suppressions() > suppressions:
                raise SuppressionsMoved
            if gone := [reading.event for reading in readings if is_suppressed(reading)]:
                await unit.erase_events(gone)
        effects: list[Effect] = []
        contexts: dict[uuid.UUID, TraceContext] = {}
        for start in range(0, len(readings), SLICE):
            await breathe()
            self._apply(workspace, readings[start : start + SLICE], told.homes, effects, contexts)
        await breathe()
        with self._spans.db("INSERT", "sync.projection", len(effects)):
            await unit.write_workspace(workspace, contexts)
            await unit.write_effects(effects, contexts)
            if seen:
                await unit.observe(seen)
            reached = {reading.event.shard: reading.event.position for reading in readings}
            if waiting := [reading for reading in readings if isinstance(reading, Parked)]:
                await unit.park(waiting)
            if parked:
                await unit.unpark([effect.event for effect in effects])
            await unit.move_cursors({} if parked else reached, moves)
        return tuple(effects)

    def _apply(
        self,
        workspace: Workspace,
        readings: Sequence[Reading],
        resolved: Resolutions,
        effects: list[Effect],
        contexts: dict[uuid.UUID, TraceContext],
    ) -> None:
        now = self._clock.now()
        for reading in readings:
            event = reading.event
            if isinstance(reading, (PassedOver, Parked)):
                continue
            relation = attempt_relation(event.record_time, now, 1)
            span = self._spans.process(QUEUE, relation, created=event.trace)
            try:
                effect = apply_reading(workspace, reading, resolved)
            except BaseException as error:
                span.finish(type(error))
                raise
            _tell(span.handle, effect)
            span.finish()
            if (context := span.handle.context) is not None:
                contexts[event.event_key] = context
            effects.append(effect)


def _tell(span: SpanHandle, effect: Effect) -> None:
    """Write on an event's span which event it was and how it ended."""
    if span.recording:
        event = effect.event
        key = str(event.event_key)
        span.update({names.TENANT: event.tenant_id, names.EVENT_KEY: key, names.OUTCOME: effect.rule})
    if effect.poisoned:
        span.error("poisoned", effect.error)


def apply_reading(
    workspace: Workspace,
    reading: RecordReading | IdentityReading | PolicyReading | Poisoned | Echo | Pointer,
    resolved: Resolutions,
) -> Effect:
    """Apply one reading to *workspace* and say how the event ended. Pure."""
    match reading:
        case RecordReading():
            return workspace.apply_record(reading, resolved)
        case IdentityReading():
            return workspace.apply_identity(reading)
        case PolicyReading():
            return Effect(reading.event, PROJECTED, (), ())
        case Pointer():
            tenant_id, crm_id = reading.event.tenant_id, reading.event.external_id
            marks = [FetchMark(tenant_id, *place, crm_id) for place in reading.places]
            workspace.fetches.update(dict.fromkeys(marks))
            return Effect(reading.event, POINTER, (), ())
        case Echo():
            return Effect(reading.event, reading.rule, (), ())
        case Poisoned():
            return Effect(reading.event, "poisoned", (), (), error=reading.error, poisoned=True)

"""What people ask of activities and attribution. Orders effects, holds no state.

NotFound    UNKNOWN_ENTITY, UNKNOWN_RECORD, NO_TIMELINE, NO_ATTRIBUTION
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.kernel.errors import NotFound
from headwater.policy.document import PolicyDocument
from headwater.policy.timeline import Attribution, Timeline
from headwater.sync.domain.attributing import MODELS, Model, TouchFact, credit, touch_of
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.reading import read_event
from headwater.sync.ports import Policies
from headwater.sync.timeline.ports import Entry, TimelineDesk, Wanted

TOUCHES_MAX: Final = 1_000
"""Touches of one entity that credit is shared among, the first ones: nobody has more."""
RECOMPUTE_EVENTS: Final = 500
"""Events that one question recomputes."""


@dataclass(frozen=True, slots=True)
class Attributed:
    """An entity's touches and what each is credited by each model, in the order of the touches."""

    entity_id: uuid.UUID
    touches: Sequence[TouchFact]
    credits: Mapping[Model, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Events whose touches were made again by the policy in force.

    Args:
        last: event to go on behind; None at the end.
        same: touches that are kept, and come out the same now.
        differing: kept, and would come out differently now: these stay.
        missing: not kept, as nothing was a touch when they came.
        dropped: events whose day is dropped from the log.
    """

    last: uuid.UUID | None
    events: int
    same: int
    differing: Sequence[tuple[TouchFact, TouchFact | None]]
    missing: Sequence[TouchFact]
    dropped: int


class Timelines:
    """Answers about the activities and touches of any tenant."""

    def __init__(self, desk: TimelineDesk, policies: Policies) -> None:
        self._desk = desk
        self._policies = policies

    async def timeline(
        self, tenant_id: str, subject: uuid.UUID | RecordKey, wanted: Wanted
    ) -> tuple[uuid.UUID, Sequence[Entry], int]:
        """Return the entity, its next activities, and how much is not associated yet. Raises: NotFound."""
        self._words(tenant_id)
        entity_id = await self._entity(tenant_id, subject)
        entries = await self._desk.read(tenant_id, entity_id, wanted)
        return entity_id, entries, await self._desk.waiting(tenant_id)

    async def attribution(
        self, tenant_id: str, subject: uuid.UUID | RecordKey, models: Sequence[Model]
    ) -> Attributed:
        """Return an entity's touches and how each model shares credit among them. Raises: NotFound."""
        words = self._attribution(tenant_id)
        entity_id = await self._entity(tenant_id, subject)
        touches = await self._desk.touches(tenant_id, entity_id, TOUCHES_MAX)
        shares = {model: credit(words, model, touches) for model in models or MODELS}
        return Attributed(entity_id, touches, shares)

    async def recompute(self, tenant_id: str, after: uuid.UUID, *, dry_run: bool) -> Recomputed:
        """Make the touches of the next events again; keep those of events that have none. Raises: NotFound."""
        self._attribution(tenant_id)
        policy = self._policies.current()[tenant_id]
        page = await self._desk.page_events(tenant_id, after, RECOMPUTE_EVENTS)
        kept = await self._desk.kept(tenant_id, [key for key, _ in page])
        found = recompute(policy, page, kept)
        if found.missing and not dry_run:
            await self._desk.keep(found.missing)
        return found

    async def _entity(self, tenant_id: str, subject: uuid.UUID | RecordKey) -> uuid.UUID:
        entity_id = await self._desk.find(tenant_id, subject)
        if entity_id is not None:
            return entity_id
        if isinstance(subject, RecordKey):
            name = f"{subject.source}/{subject.object}/{subject.external_id}"
            raise NotFound(
                f"no record {name} is projected", reason="UNKNOWN_RECORD", metadata={"record": name}
            )
        metadata = {"entity_id": str(subject)}
        raise NotFound(f"no entity {subject} is projected", reason="UNKNOWN_ENTITY", metadata=metadata)

    def _words(self, tenant_id: str) -> Timeline:
        policy = self._policies.current().get(tenant_id)
        if policy is None or policy.timeline is None:
            raise NotFound("the policy in force has no section timeline", reason="NO_TIMELINE")
        return policy.timeline

    def _attribution(self, tenant_id: str) -> Attribution:
        policy = self._policies.current().get(tenant_id)
        if policy is None or policy.attribution is None:
            raise NotFound("the policy in force has no section attribution", reason="NO_ATTRIBUTION")
        return policy.attribution


def recompute(
    policy: PolicyDocument,
    page: Sequence[tuple[uuid.UUID, LogEvent | None]],
    kept: Mapping[uuid.UUID, TouchFact],
) -> Recomputed:
    """Return how touches come out under *policy*, beside those that are kept. Pure."""
    same = dropped = 0
    differing: list[tuple[TouchFact, TouchFact | None]] = []
    missing: list[TouchFact] = []
    for key, event in page:
        if event is None:
            dropped += 1
            continue
        now, held = touch_of(policy, read_event(policy, event)), kept.get(key)
        if held is None:
            missing += [now] if now is not None else []
        elif now is None or (now.channel, now.detail) != (held.channel, held.detail):
            differing.append((held, now))
        else:
            same += 1
    last = page[-1][0] if len(page) == RECOMPUTE_EVENTS else None
    return Recomputed(last, len(page), same, differing, missing, dropped)

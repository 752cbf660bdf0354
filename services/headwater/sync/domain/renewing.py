"""Entities under another policy: computed anew from their records, and counted. Pure.

A renewal and the estimate before it are one computation: `renew` on a workspace of the new policy. So what was
predicted and what is seen differ only by what happened in between.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final

from msgspec import structs

from headwater.kernel.ids import OWN_SOURCE, POLICY_OBJECT
from headwater.policy.differences import differences
from headwater.policy.document import PolicyDocument
from headwater.policy.sharing import Share
from headwater.policy.staging import StagedText
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.log import LogEvent, Position
from headwater.sync.domain.projecting import Workspace

NOWHERE: Final = uuid.UUID(int=0)
"""Before every entity."""
CHANGES_SHOWN: Final = 500
"""Paths of a policy's difference that the audit names; a number says how many more there are."""


class RenewalState(IntEnum):
    """How far the entities are under a version; numbers of policies.proto."""

    WAITING = 1
    RENEWING = 2
    SETTLING = 3
    DONE = 4
    SUPERSEDED = 5
    REFUSED = 6


@dataclass(frozen=True, slots=True)
class Holding:
    """Which policy an entity is under by one version: one for all, or a newer one for some."""

    digest: str
    share: Share | None = None
    newer: str = ""

    def of(self, entity_id: uuid.UUID) -> str:
        """Return the digest of the entity's policy."""
        return self.digest if self.share is None or not self.share.holds(entity_id) else self.newer


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy as it came into force, and how far the entities are under it.

    Args:
        version: what the document calls itself; empty until it was read.
        place: the entity that was renewed last.
        changed: entities that show another value; *late* ones among them were found by the second look.
        restated: entities whose values stayed and have another provenance.
        fields: `object.field` to the entities in which it changed.
        deliveries: connector account to the entities that were made due there.
        staged: the newer policy that holds for some entities, while a change is staged; *digest* and *document* are
            those of the policy before it then.
    """

    tenant_id: str
    event_key: uuid.UUID
    position: Position
    digest: str
    document: str
    actor: str
    record_time: dt.datetime
    next_time: dt.datetime
    version: str = ""
    state: RenewalState = RenewalState.WAITING
    place: uuid.UUID = NOWHERE
    scanned: int = 0
    changed: int = 0
    restated: int = 0
    late: int = 0
    fields: Mapping[str, int] = field(default_factory=dict)
    deliveries: Mapping[str, int] = field(default_factory=dict)
    begin_time: dt.datetime | None = None
    settle_time: dt.datetime | None = None
    end_time: dt.datetime | None = None
    reason: str = ""
    staged: StagedText | None = None

    @property
    def holding(self) -> Holding:
        """Which policy an entity is under by this version."""
        if self.staged is None:
            return Holding(self.digest)
        return Holding(self.digest, self.staged.share, self.staged.digest)

    @property
    def open(self) -> bool:
        """Whether something of it is still to be done."""
        return self.state in {RenewalState.WAITING, RenewalState.RENEWING, RenewalState.SETTLING}

    def ended(self, state: RenewalState, now: dt.datetime, reason: str = "") -> PolicyVersion:
        """Return it once nothing is left to do."""
        return replace(self, state=state, end_time=now, reason=reason)

    def counted(self, tally: Tally, place: uuid.UUID, next_time: dt.datetime) -> PolicyVersion:
        """Return it with one more page of entities counted."""
        settling = self.state is RenewalState.SETTLING
        return replace(
            self,
            place=place,
            next_time=next_time,
            scanned=self.scanned + (0 if settling else tally.scanned),
            changed=self.changed + tally.changed,
            restated=self.restated + tally.restated,
            late=self.late + (tally.changed if settling else 0),
            fields=dict(Counter(self.fields) + tally.fields),
            deliveries=dict(Counter(self.deliveries) + tally.deliveries),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """What one page of entities came to; names as in `PolicyVersion`."""

    scanned: int
    changed: int
    restated: int
    fields: Counter[str]
    deliveries: Counter[str]


def event_of(version: PolicyVersion) -> LogEvent:
    """Return the event by which a version came into force, as renewed entities name it."""
    return LogEvent(
        tenant_id=version.tenant_id,
        event_key=version.event_key,
        source=OWN_SOURCE,
        object=POLICY_OBJECT,
        external_id=version.tenant_id,
        event_time=version.record_time,
        record_time=version.record_time,
        operation=1,
        actor_id=version.actor,
        payload=b"",
        trace=None,
        shard=0,
        position=version.position,
    )


def renew(workspace: Workspace, event: LogEvent) -> Tally:
    """Compute every entity of *workspace* anew, behind live traffic, in the name of who changed the policy.

    Entities of an object that the policy no longer has stay as they are.
    """
    known = workspace.policies[event.tenant_id].objects
    entities = [item for item in workspace.entities.values() if item.object in known]
    for entity in entities:
        workspace.renew(entity, event)
    workspace.audit = [structs.replace(note, actor=event.actor_id or note.actor) for note in workspace.audit]
    workspace.marks = {
        key: structs.replace(mark, lane=Lane.BACKFILL) for key, mark in workspace.marks.items()
    }
    return _tally(workspace)


def _tally(workspace: Workspace) -> Tally:
    objects = {entity.entity_id: entity.object for entity in workspace.entities.values()}
    return Tally(
        scanned=len(workspace.entities),
        changed=len(workspace.audit),
        restated=len(workspace.entities_changed) - len(workspace.audit),
        fields=Counter(
            f"{objects[note.entity_id]}.{change['field']}"
            for note in workspace.audit
            for change in note.changes
        ),
        deliveries=Counter(connector for _, connector, _ in workspace.marks),
    )


def concerned(held: Holding, former: Sequence[Holding]) -> Callable[[uuid.UUID], bool] | None:
    """Return which entities have to be renewed; None: all of them.

    Where a change is staged, only entities that another policy held for have. Once it is whole all are looked at again:
    what else the policy says, as of enrichment, begins to hold for everybody then.

    Args:
        held: the version in force.
        former: the versions before it, from the last one under which all entities were renewed; empty: none was.
    """
    if not former or all(item.share is None for item in (held, *former)):
        return None
    if held.share is None and any(item.newer == held.digest for item in former):
        return None
    return lambda entity_id: any(item.of(entity_id) != held.of(entity_id) for item in former)


def stage_notes(staged: StagedText, before: Holding | None) -> tuple[Mapping[str, Any], ...]:
    """Return what the audit tells of a stage: which policy, and whom it holds for."""
    former = before.share if before is not None else None
    share = staged.share
    return (
        {"field": "staged", "before": before.newer or None if before else None, "after": staged.digest,
         "rule": "policy"},
        {"field": "stage", "before": former.stage + 1 if former else None, "after": share.stage + 1,
         "rule": f"change {share.change_id}"},
    )  # fmt: skip


def change_notes(
    before: PolicyDocument | None, before_digest: str, after: PolicyDocument, digest: str
) -> tuple[Mapping[str, Any], ...]:
    """Return what the audit tells of a change: version and digest before and after, then path by path."""
    paths = [] if before is None else list(differences(before.as_json(), after.as_json()))
    found: list[dict[str, Any]] = [
        {"field": "version", "before": None if before is None else before.version, "after": after.version},
        {"field": "digest", "before": before_digest or None, "after": digest},
    ]
    found += [
        {"field": item.path, "before": _plain(item.before), "after": _plain(item.after)}
        for item in paths[:CHANGES_SHOWN]
        if item.path != "version"
    ]
    if len(paths) > CHANGES_SHOWN:
        found.append({"field": "more", "before": None, "after": len(paths) - CHANGES_SHOWN})
    return tuple({**item, "rule": "policy"} for item in found)


def _plain(text: str) -> Any:
    return json.loads(text) if text else None

"""Merges of entities followed into a CRM: what is wanted, how far it is, what comes next, what a failure means. Pure.

A row is level-triggered like a delivery: it says what is wanted (`merged`, `split`) and how far it is. So a split that
comes before its merge was begun ends without a call, and one that comes in its middle waits for its end.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, cast

import msgspec
from msgspec.structs import replace

from headwater.connectors.base import ErrorClass, Merged, Snapshot, Step, StepKind, VendorError
from headwater.connectors.base.merging import without
from headwater.kernel.ids import ObjectName
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.domain.reading import IdentityReading

TRIES_MAX: Final = 12
"""Tries that failed, of one step, before a person has to look; pauses grow to `PAUSE_S_MAX`."""
PAUSE_S_MIN: Final = 0.2
PAUSE_S_MAX: Final = 60.0
HELD_S: Final = 1.0
"""Pause while the account's breaker or an operator holds calls back, or its grant is refused."""
BUSY_S: Final = 0.1
"""Pause while a delivery of one of the two is under way."""
SURVIVOR_S: Final = 600.0
"""How long the survivor's own record is waited for, where it is on its way."""
SURVIVOR_PAUSE_S: Final = 0.5

WAITING: Final = frozenset(
    {
        ErrorClass.HELD,
        ErrorClass.RATE_LIMIT,
        ErrorClass.QUOTA,
        ErrorClass.AUTH,
        ErrorClass.NETWORK,
        ErrorClass.TIMEOUT,
    }
)
"""Nothing was written and it is nobody's fault here: tried again without end."""
DOUBTFUL: Final = frozenset({ErrorClass.IN_DOUBT, ErrorClass.PARTIAL, ErrorClass.SERVER})
"""It may have been written: looked at before it is sent again."""


class FollowState(StrEnum):
    """How far a merge of records is."""

    PLANNED = "planned"
    """Nothing was asked or sent."""
    MERGING = "merging"
    MERGED = "merged"
    UNDOING = "undoing"
    UNDONE = "undone"
    NOT_NEEDED = "not_needed"
    """There was nothing to merge in this account; `finding` says why."""
    FAILED = "failed"
    """A person has to look; `finding` says why."""


class Course(msgspec.Struct, frozen=True):
    """Steps under way.

    Args:
        done: steps performed.
        begun: the next one may have been sent.
        left: id of the record that the last step left which tells one.
        restored: id of the loser's record once it is back.
        vanished: the vendor has not kept the loser: it is made anew.
        holder_id: the entity whose record it is that the other goes into, or comes out of.
    """

    steps: tuple[Step, ...] = ()
    done: int = 0
    begun: bool = False
    left: str = ""
    restored: str = ""
    vanished: bool = False
    holder_id: uuid.UUID | None = None

    @property
    def next_step(self) -> Step | None:
        """The step to perform now; None when all are done."""
        return self.steps[self.done].on(self.restored) if self.done < len(self.steps) else None

    def begin(self) -> Course:
        """Return the course with its next step sent, perhaps."""
        return replace(self, begun=True)

    def refused(self) -> Course:
        """Return the course with its next step certainly not performed."""
        return replace(self, begun=False)

    def after(self, crm_id: str) -> Course:
        """Return the course once its next step was performed and has left record *crm_id*."""
        step = self.steps[self.done]
        brings_back = step.kind in {StepKind.CREATE, StepKind.UNDELETE}
        return replace(
            self,
            done=self.done + 1,
            begun=False,
            left=crm_id if step.kind is StepKind.MERGE else self.left,
            restored=crm_id if brings_back else self.restored,
        )


class Both(msgspec.Struct, frozen=True):
    """What is kept of a merge of records; `after` is None until it is done."""

    survivor: Snapshot
    loser: Snapshot
    after: Snapshot | None = None

    def whole(self) -> Merged:
        """Return it as its undoing needs it; without what came after, the survivor counts as unchanged."""
        return Merged(self.survivor, self.loser, self.after or self.survivor)


class RecordMerge(msgspec.Struct, frozen=True):
    """A merge of entities as one account follows it.

    Args:
        begin_turn, end_turn: order of beginnings and undoings in all accounts; 0 where it was not yet.
    """

    tenant_id: str
    connector: str
    merge_id: uuid.UUID
    number: int
    object: ObjectName
    winner_id: uuid.UUID
    loser_id: uuid.UUID
    event_key: uuid.UUID
    wanted: str
    state: FollowState
    crm_object: str = ""
    key: str = ""
    both: Both | None = None
    course: Course = Course()
    finding: str = ""
    try_count: int = 0
    waited_s: float = 0.0
    begin_turn: int = 0
    end_turn: int = 0


class Follow(msgspec.Struct, frozen=True):
    """What the projection orders: a merge is followed in an account, or what was followed is to be undone.

    Args:
        connector: empty for a split, which concerns every account that followed the merge.
        number: the change's place among the tenant's changes of identity.
    """

    tenant_id: str
    connector: str
    merge_id: uuid.UUID
    object: str
    winner_id: uuid.UUID
    loser_id: uuid.UUID
    event_key: uuid.UUID
    shard: int
    xid: int
    seq: int
    number: int


class Verdict(msgspec.Struct, frozen=True):
    """What a failure means: a pause, or the end (`pause_s` None); and whether the step may have been performed."""

    pause_s: float | None
    try_count: int
    in_doubt: bool


def judge(error: VendorError, try_count: int, chance: random.Random) -> Verdict:
    """Return what *error* of a step means after *try_count* failed tries."""
    if error.error_class in WAITING:
        pause_s = error.retry_after_s if error.retry_after_s is not None else HELD_S
        return Verdict(min(pause_s, PAUSE_S_MAX), try_count, in_doubt=False)
    if error.error_class not in DOUBTFUL:
        return Verdict(None, try_count + 1, in_doubt=False)
    if try_count + 1 >= TRIES_MAX:
        return Verdict(None, try_count + 1, in_doubt=True)
    most_s = min(PAUSE_S_MAX, PAUSE_S_MIN * 2**try_count)
    return Verdict(max(error.retry_after_s or 0.0, chance.uniform(0, most_s)), try_count + 1, in_doubt=True)


def follows(policy: ConnectorPolicy, object_name: ObjectName) -> bool:
    """Return whether merges of an object's entities are followed by merges of records in an account."""
    return policy.enabled and any(item.merge == "merge" for item in policy.written.get(object_name, ()))


def followed(policy: PolicyDocument, reading: IdentityReading) -> Iterable[Follow]:
    """Yield what accounts do about a merge of entities; a split is left to those that followed its merge."""
    event, object_name = reading.event, cast("ObjectName", reading.object)
    followers = (name for name, item in policy.connectors.items() if follows(item, object_name))
    for connector in followers if reading.change == "merged" else ("",):
        yield Follow(
            event.tenant_id, connector, reading.merge_id, reading.object, reading.winner, reading.loser,
            event.event_key, event.shard, event.position.xid, event.position.seq, reading.seq,
        )  # fmt: skip


def outbound_of(policy: ConnectorPolicy, object_name: ObjectName, crm_object: str) -> OutboundObject | None:
    """Return the mapping of records of a CRM object that are merged; None where they are not."""
    targets = policy.written.get(object_name, ())
    return next((item for item in targets if item.target == crm_object and item.merge == "merge"), None)


class Lineage:
    """Merges of the entities below one record, as the undoing of one of them sees them.

    A tie or a value in a snapshot counts as somebody's who had it before he was merged in. What is only of those that
    are gone is taken out of every snapshot before it is used.

    Args:
        merge: to be undone.
        root: the entity that has the record now.
        related: merges of the entities below it, *merge* among them, standing or undone since.
    """

    def __init__(self, merge: RecordMerge, root: uuid.UUID, related: Sequence[RecordMerge]) -> None:
        self._merge = merge
        self._root = root
        self._related = [one for one in related if one.both is not None]
        undone = {one.merge_id for one in self._related if one.state is FollowState.UNDONE}
        self._gone = frozenset(undone | {merge.merge_id})
        self._cleaned: dict[tuple[uuid.UUID, uuid.UUID], Snapshot] = {}

    def merged(self) -> Merged:
        """Return what the merge merged, without what is gone since."""
        merge, whole = self._merge, _both(self._merge).whole()
        return replace(
            whole,
            survivor=self._clean(whole.survivor, merge.winner_id, merge),
            loser=self._clean(whole.loser, merge.loser_id, merge),
        )

    def staying(self) -> tuple[Snapshot, ...]:
        """Return the records whose data stays once the merge is undone, as they were."""
        standing = [one for one in self._related if one.state is not FollowState.UNDONE]
        return self._kept(self._root, standing)

    def _clean(self, snapshot: Snapshot, entity_id: uuid.UUID, taken_for: RecordMerge) -> Snapshot:
        """Return the snapshot of an entity's record, taken for a merge, without what is gone; worked out once."""
        key = (taken_for.merge_id, entity_id)
        if key not in self._cleaned:
            self._cleaned[key] = self._cleaned_now(snapshot, entity_id, taken_for)
        return self._cleaned[key]

    def _cleaned_now(self, snapshot: Snapshot, entity_id: uuid.UUID, taken_for: RecordMerge) -> Snapshot:
        stood = [one for one in self._related if _stood_at(one, taken_for)]
        gone = [one for one in _below(entity_id, stood) if one.merge_id in self._gone]
        kept = self._kept(entity_id, stood) if gone else ()
        for one in gone:
            snapshot = without(snapshot, self._clean(_both(one).loser, one.loser_id, one), kept)
        return snapshot

    def _kept(self, entity_id: uuid.UUID, stood: Sequence[RecordMerge]) -> tuple[Snapshot, ...]:
        """Return what was merged into an entity and is not gone, and the entity itself before it was."""
        left = [one for one in stood if one.merge_id not in self._gone]
        inside = _below(entity_id, left)
        members = {entity_id, *(one.loser_id for one in inside)}
        losers = [self._clean(_both(one).loser, one.loser_id, one) for one in inside]
        winners = [
            self._clean(_both(one).survivor, one.winner_id, one) for one in stood if one.winner_id in members
        ]
        return (*losers, *winners)


def _below(entity_id: uuid.UUID, merges: Sequence[RecordMerge]) -> list[RecordMerge]:
    """Return the merges by which others went into an entity, directly or through others."""
    inside, found = {entity_id}, list[RecordMerge]()
    while fresh := [one for one in merges if one.winner_id in inside and one not in found]:
        found += fresh
        inside |= {one.loser_id for one in fresh}
    return found


def _stood_at(one: RecordMerge, other: RecordMerge) -> bool:
    """Return whether *one* stood when the snapshots of *other* were taken."""
    return one.begin_turn < other.begin_turn and (one.end_turn == 0 or one.end_turn > other.begin_turn)


def _both(merge: RecordMerge) -> Both:
    if merge.both is None:
        raise ValueError(f"merge {merge.merge_id} has no snapshots")
    return merge.both


def told(step: Step, outcome: str) -> list[dict[str, Any]]:
    """Return the changes of the audit entry about a step."""
    fields = [
        {"field": name, "before": None, "after": value, "rule": step.kind.value}
        for name, value in step.fields.items()
    ]
    links = [
        {"field": link.name, "before": None, "after": link.other_id, "rule": step.kind.value}
        for link in step.links
    ]
    head = {"field": "#record", "before": step.other_id or None, "after": outcome, "rule": step.kind.value}
    return [head, *fields, *links]

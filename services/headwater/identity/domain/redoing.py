"""What becomes of records when the rules of normalisation have changed: values and the rewriting. Pure.

A tenant is gone over twice. First every record is read again from what it said: parts and keys are made anew, so that
all are by one set of rules. Then every record is compared and grouped as if it had just come. Comparing while half of
the records are by other rules would see two spellings of one name as two.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from headwater.identity.domain.identifying import COMPARED, Identified, Normaliser
from headwater.identity.domain.records import GroupId, RecordId, RecordRef
from headwater.kernel.ids import EntityId, EventKey, TenantId

Phase = Literal["rewrite", "resolve", "done"]
BEFORE_ALL: Final = RecordId("00000000-0000-0000-0000-000000000000")
"""Before the first record in the order of ids."""


@dataclass(frozen=True, slots=True)
class Redo:
    """How far a tenant's records have been gone over.

    Args:
        version: of the rules. after: the last record of the phase that is through.
        records: in all, counted as it began; seen: gone over, in both phases together.
        changed: records that say something else by the new rules. merged: entities merged since.
    """

    tenant_id: TenantId
    version: int
    phase: Phase
    after: RecordId
    records: int
    seen: int
    changed: int
    merged: int
    holder: str
    start_time: dt.datetime
    update_time: dt.datetime
    finish_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch did: where the next begins, and what is added to the counts."""

    phase: Phase
    after: RecordId
    seen: int = 0
    changed: int = 0
    merged: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """A record as it stands, with what it said.

    Args:
        identified: by the rules of *version*.
        said: oldest first, each the JSON of its attributes; empty where it never said who it is.
    """

    record_id: RecordId
    ref: RecordRef
    entity_id: EntityId
    group_id: GroupId
    event_key: EventKey
    identified: Identified
    digest: int
    version: int
    said: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reread:
    """A record that says something else by the new rules."""

    record_id: RecordId
    entity_id: EntityId
    before: Identified
    after: Identified
    digest: int


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What a batch of records comes to by later rules.

    Args:
        same: records that say what they said before.
    """

    version: int
    same: Sequence[RecordId] = ()
    changed: Sequence[Reread] = field(default_factory=tuple)


def advanced(redo: Redo, step: Step) -> Redo:
    """Return how far it is after a batch."""
    return replace(
        redo,
        phase=step.phase,
        after=step.after,
        seen=redo.seen + step.seen,
        changed=redo.changed + step.changed,
        merged=redo.merged + step.merged,
    )


def reread(records: Iterable[Said], rules: Normaliser) -> Rewriting:
    """Read records again that are by older rules; those by newer ones are left to newer code."""
    same: list[RecordId] = []
    changed: list[Reread] = []
    for one in records:
        if one.version >= rules.version:
            continue
        if not one.said or one.ref.object not in COMPARED:
            same.append(one.record_id)
            continue
        after, digest = rules.read(one.ref.object, one.said)
        if after == one.identified and digest == one.digest:
            same.append(one.record_id)
        else:
            changed.append(Reread(one.record_id, one.entity_id, one.identified, after, digest))
    return Rewriting(rules.version, same, changed)


def says_else(one: Reread) -> bool:
    """Say whether a record is compared or found otherwise than before; its digest alone changes with every version."""
    return one.before != one.after

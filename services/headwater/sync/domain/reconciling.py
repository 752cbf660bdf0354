"""What of a CRM is compared with what it should hold, and what counts as drift, record by record. Pure.

    the record                     it is drift when                                        kind
    we write, is there             a field that only we write shows something else        field
    is read, too                   a field shows what we neither wrote nor were told       stale
    we write, and it was told      a field shows what was told, but is not what is wanted  contested
    we write, is gone              nobody told that it was deleted                         missing, or ended where read
    is read, is gone               the same                                                ended
    nobody knows, is read          always                                                  unrecorded
    nobody knows, has our id       the entity's delivery holds another record              double

What is on its way, stopped by an operator or a fault, or too young to have been told yet is no drift.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from headwater.connectors.base import Seen
from headwater.kernel.ids import ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import canonicalise
from headwater.policy.outbound import Unwritable, end_marks, same_value, wanted_fields
from headwater.policy.words import FieldType
from headwater.sync.domain.echoing import REFERENCES_KEY, same_form
from headwater.sync.domain.parity_references import compared_references
from headwater.sync.domain.settling import State
from headwater.sync.domain.sweep_plans import SweepPlan, marks_of

RACE: Final = dt.timedelta(seconds=2)
"""What was settled this shortly before a record was read may not have been in the answer: CRMs keep whole seconds."""
_UNCOMPARED: Final = frozenset({"reference", "participants"})
"""Types whose values are entities here and the CRM's own ids there: what is told of them; what we wrote is compared."""
_UNDER_WAY: Final = frozenset({State.PENDING, State.RETRYING, State.IN_DOUBT})


class DriftKind(StrEnum):
    """How a CRM differs."""

    FIELD = "field"
    STALE = "stale"
    CONTESTED = "contested"
    MISSING = "missing"
    ENDED = "ended"
    UNRECORDED = "unrecorded"
    DOUBLE = "double"


class Excluded(StrEnum):
    """Why a record was not compared."""

    UNDER_WAY = "under way"
    STOPPED = "stopped"
    YOUNG = "young"
    FOREIGN = "foreign"
    REFUSED = "refused"
    UNWRITABLE = "unwritable"


@dataclass(frozen=True, slots=True)
class Bound:
    """A record as a delivery holds it.

    Args:
        known: what the CRM is known to hold.
        values: the entity's.
        heir: whom the entity was merged into; empty when it was not.
    """

    entity_id: uuid.UUID
    object: ObjectName
    state: State
    known: Mapping[str, Any]
    values: Mapping[str, Any]
    entity_state: str
    heir: str
    version: int
    settle_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """A record as its source told it last.

    Args:
        newest_time: of its youngest fact.
    """

    entity_id: uuid.UUID
    values: Mapping[str, Any]
    deleted: bool
    newest_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Ours:
    """What Headwater holds of some records, by CRM id.

    Args:
        former: records that deliveries had to give up.
        refused: records that ingest would not record.
        holders: of entities whose id a record carries: the record of their delivery, "" while there is none yet.
    """

    bound: Mapping[str, Bound] = field(default_factory=dict)
    told: Mapping[str, Told] = field(default_factory=dict)
    former: Collection[str] = ()
    refused: Collection[str] = ()
    holders: Mapping[uuid.UUID, str] = field(default_factory=dict)


class FieldDrift(msgspec.Struct, frozen=True):
    """One field that differs: the CRM's name, what it should hold, and what it shows."""

    field: str
    expected: Any
    found: Any


@dataclass(frozen=True, slots=True)
class Drift:
    """A record that differs.

    Args:
        version: of the delivery that it was compared with; 0 for none.
        drift_time: when it came about, by the CRM's clock; None where the CRM does not say.
    """

    kind: DriftKind
    crm_id: str
    object: str = ""
    entity_id: uuid.UUID | None = None
    fields: tuple[FieldDrift, ...] = ()
    version: int = 0
    drift_time: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What comparing one record came to.

    Args:
        compared: CRM fields that were looked at.
    """

    drift: Drift | None = None
    excluded: Excluded | None = None
    compared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """When records were read, by our clock, and how long a change may take to be told."""

    time: dt.datetime
    lag_s: float = 0.0

    def is_young(self, seen: Seen) -> bool:
        """Return whether the record changed so lately that it may still be told."""
        return self.lag_s > 0 and seen.modify_time > self.time - dt.timedelta(seconds=self.lag_s)


def judge_present(document: PolicyDocument, plan: SweepPlan, seen: Seen, ours: Ours, look: Look) -> Verdict:
    """Return how a record that the CRM shows agrees with what we hold of it."""
    bound, told = ours.bound.get(seen.crm_id), ours.told.get(seen.crm_id)
    if bound is None and told is None:
        return _judge_unknown(plan, seen, ours, look)
    if bound is not None and (excluded := _excluded(bound, look)):
        return Verdict(excluded=excluded)
    try:
        comparison = _Comparison(document, plan, seen, bound, told)
        comparison.compare()
    except Unwritable:
        return Verdict(excluded=Excluded.UNWRITABLE)
    drift = comparison.drift()
    if drift is not None and drift.kind is DriftKind.STALE and look.is_young(seen):
        return Verdict(excluded=Excluded.YOUNG)
    return Verdict(drift, None, tuple(comparison.compared))


def judge_absent(document: PolicyDocument, plan: SweepPlan, crm_id: str, ours: Ours, look: Look) -> Verdict:
    """Return what it is that the CRM has no record that we hold."""
    bound, told = ours.bound.get(crm_id), ours.told.get(crm_id)
    if bound is not None and (excluded := _excluded(bound, look)):
        return Verdict(excluded=excluded)
    was_told = told is not None and told.deleted
    reads = plan.polled is not None and document.systems[plan.system].deletes != "ignore"
    if reads and told is not None and not was_told:
        version = bound.version if bound else 0
        return Verdict(Drift(DriftKind.ENDED, crm_id, plan.polled or "", told.entity_id, version=version))
    if bound is None or bound.entity_state != "active":
        return Verdict()  # nothing is wanted there, or its end was told
    ended = reads and bound.object == plan.polled and not was_told
    kind = DriftKind.ENDED if ended else DriftKind.MISSING
    return Verdict(Drift(kind, crm_id, bound.object, bound.entity_id, version=bound.version))


def _excluded(bound: Bound, look: Look) -> Excluded | None:
    if bound.state in _UNDER_WAY:
        return Excluded.UNDER_WAY
    if bound.settle_time is not None and bound.settle_time > look.time - RACE:
        return Excluded.UNDER_WAY
    return Excluded.STOPPED if bound.state is not State.DELIVERED else None


def _judge_unknown(plan: SweepPlan, seen: Seen, ours: Ours, look: Look) -> Verdict:
    if seen.crm_id in ours.refused:
        return Verdict(excluded=Excluded.REFUSED)
    mark = marks_of(plan, seen)
    holder = None if mark is None else ours.holders.get(mark)
    if mark is not None and holder is not None and holder != seen.crm_id:
        if not holder:
            return Verdict(excluded=Excluded.UNDER_WAY)
        return Verdict(
            Drift(DriftKind.DOUBLE, seen.crm_id, "", mark, (FieldDrift("crm_id", holder, seen.crm_id),))
        )
    if plan.polled is None or seen.crm_id in ours.former:
        return Verdict(excluded=Excluded.FOREIGN)
    if look.is_young(seen):
        return Verdict(excluded=Excluded.YOUNG)
    return Verdict(Drift(DriftKind.UNRECORDED, seen.crm_id, plan.polled, drift_time=seen.modify_time))


class _Comparison:
    """One record that both sides have, field by field."""

    def __init__(
        self, document: PolicyDocument, plan: SweepPlan, seen: Seen, bound: Bound | None, told: Told | None
    ) -> None:
        self._document = document
        self._plan = plan
        self._seen = seen
        self._bound = bound
        self._told = told
        self.compared: dict[str, None] = {}
        self._untold: list[FieldDrift] = []
        self._unwanted: list[FieldDrift] = []
        self._contested: list[FieldDrift] = []
        self._read: Mapping[str, Any] | None = None

    def compare(self) -> None:
        """Look at every field that matters. Raises: Unwritable."""
        inbound = self._inbound()
        outbound = self._outbound()
        for name in dict.fromkeys([*inbound, *outbound]):
            self.compared[name] = None
            found = self._seen.fields.get(name)
            if name in inbound and not self._was_told(name, found, *inbound[name]):
                self._untold.append(FieldDrift(name, inbound[name][2], found))
            elif name in outbound and not self._is_wanted(found, *outbound[name]):
                rests = name in inbound and not self._is_known(name, found, outbound[name][1])
                (self._contested if rests else self._unwanted).append(
                    FieldDrift(name, outbound[name][0], found)
                )
        self._compare_references()
        self._compare_id()

    def _compare_references(self) -> None:
        """Look at whom the record refers to, where its fields show it and we alone say it: it is to be whom we wrote."""
        bound, plan, shown = self._bound, self._plan, self._seen.fields
        outbound = plan.written.get(bound.object) if bound and bound.entity_state == "active" else None
        if bound is None or outbound is None:
            return
        wanted = wanted_fields(outbound, bound.values, self._document.consent)
        pairs = compared_references(outbound, wanted, bound.known, shown, plan.polled_fields)
        for name, canonical, ids in pairs:
            if self._matters(bound.object, canonical):
                self.compared[name] = None
                self._unwanted += [] if shown[name] in ids else [FieldDrift(name, ids[0], shown[name])]

    def _compare_id(self) -> None:
        """Look whose id the record carries: another's, or none where we alone have written it, is for a person to see."""
        bound = self._bound
        outbound = self._plan.written.get(bound.object) if bound else None
        if bound is None or outbound is None or outbound.external_id not in self._seen.fields:
            return
        shown = self._seen.fields[outbound.external_id]
        lost = shown in (None, "") and self._plan.polled is None
        if lost or (shown not in (None, "") and str(shown).lower() != str(bound.entity_id)):
            self._contested.append(FieldDrift(outbound.external_id, str(bound.entity_id), shown))

    def drift(self) -> Drift | None:
        """Return how the record differs, the most telling kind first."""
        if self._told is not None and self._told.deleted and self._bound is None:
            return self._made(DriftKind.STALE, self._untold)
        for kind, fields in (
            (DriftKind.STALE, self._untold),
            (DriftKind.FIELD, self._unwanted),
            (DriftKind.CONTESTED, self._contested),
        ):
            if fields:
                return self._made(kind, fields)
        return None

    def _made(self, kind: DriftKind, fields: Sequence[FieldDrift]) -> Drift:
        bound, told = self._bound, self._told
        object_name = bound.object if bound else self._plan.polled or ""
        entity_id = bound.entity_id if bound else told.entity_id if told else None
        stamp, since = self._seen.modify_time, self._known_since()
        return Drift(
            kind,
            self._seen.crm_id,
            object_name,
            entity_id,
            tuple(fields),
            bound.version if bound else 0,
            stamp if since is None or stamp > since else None,
        )

    def _known_since(self) -> dt.datetime | None:
        times = [
            item
            for item in (
                self._bound.settle_time if self._bound else None,
                self._told.newest_time if self._told else None,
            )
            if item is not None
        ]
        return max(times, default=None)

    def _matters(self, object_name: str, canonical: str) -> bool:
        fields = self._plan.critical.get(object_name)  # type: ignore[call-overload]
        return fields is not None and (not fields or canonical in fields)

    def _type_of(self, object_name: ObjectName, canonical: str | None) -> FieldType:
        known = self._document.objects[object_name].fields.get(canonical or "")
        return known.type if known is not None else "text"

    def _outbound(self) -> dict[str, tuple[Any, FieldType]]:
        """Return what each field that we write should hold, with its type."""
        bound = self._bound
        outbound = self._plan.written.get(bound.object) if bound else None
        if bound is None or outbound is None:
            return {}
        if bound.entity_state != "active":
            marks = end_marks(outbound, bound.entity_state, bound.heir)
            return {name: (value, "text") for name, value in marks.items()}
        wanted = wanted_fields(outbound, bound.values, self._document.consent)
        found: dict[str, tuple[Any, FieldType]] = {}
        for name, value in wanted.fields.items():
            canonical = item.field if (item := outbound.fields.get(name)) else None
            if canonical is not None and not self._matters(bound.object, canonical):
                continue
            if name in outbound.unread or (name in outbound.if_empty and self._seen.fields.get(name)):
                continue  # not asked for, or not ours any more
            if value is None and name not in bound.known:
                continue  # never given, and nothing to give: what is there is somebody else's
            found[name] = (value, self._type_of(bound.object, canonical))
        return found

    def _inbound(self) -> dict[str, tuple[str, FieldType, Any]]:
        """Return, of each field that is read: its canonical name, type, and what was told of it."""
        object_name, told = self._plan.polled, self._told
        inbound = self._document.systems[self._plan.system].inbound.get(object_name) if object_name else None
        if inbound is None or object_name is None or (self._bound and self._bound.object != object_name):
            return {}
        if self._bound is not None and self._bound.entity_state != "active" and told is None:
            return {}
        fields: dict[str, tuple[str, FieldType, Any]] = {}
        for path, item in inbound.readings():
            kind = self._type_of(object_name, item.field)
            if (
                path in self._seen.fields
                and kind not in _UNCOMPARED
                and self._matters(object_name, item.field)
            ):
                fields[path] = (item.field, kind, told.values.get(item.field) if told else None)
        return fields

    def _was_told(self, name: str, found: Any, canonical: str, kind: FieldType, told: Any) -> bool:
        if self._bound is not None and self._is_known(name, found, kind):
            return True
        reading = self._reading()
        value = reading.get(canonical)
        return value == told or same_value(told, value) or same_form(told, value, kind)

    def _reading(self) -> Mapping[str, Any]:
        """Return the record in canonical words, as the projector would read it."""
        if self._read is None and self._plan.polled is not None:
            payload = {name: self._seen.fields.get(name) for name in self._plan.polled_fields}
            self._read = canonicalise(self._document, self._plan.system, self._plan.polled, payload).fields
        return self._read or {}

    def _is_known(self, name: str, found: Any, kind: FieldType) -> bool:
        known = self._bound.known if self._bound else {}
        return name in known.get(REFERENCES_KEY, {}) or same_form(known.get(name), found, kind)

    @staticmethod
    def _is_wanted(found: Any, wanted: Any, kind: FieldType) -> bool:
        return same_value(found, wanted) or same_form(wanted, found, kind)

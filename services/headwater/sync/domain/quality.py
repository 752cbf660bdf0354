"""How good records are: complete, valid, fresh, without duplicates. Counted page by page, never held. Pure.

Records are held to the contract of the policy in force, which may ask more than the one that they came in by: what
broke the contract at the door is in quarantine and no record at all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from headwater.kernel.ids import ObjectName
from headwater.policy import places
from headwater.policy.document import PolicyDocument
from headwater.policy.objects import FieldPolicy, ObjectPolicy
from headwater.policy.survivorship import FieldFact
from headwater.policy.systems import InboundField
from headwater.policy.values import PERSONAL_MAIL_DOMAINS, Broken, read_value
from headwater.sync.domain.correcting import is_attached
from headwater.sync.domain.states import RecordState

KEPT_DAYS: Final = 400
"""Days of reports that are kept: a year and what it takes to compare with it."""


class Subject(NamedTuple):
    """What is counted: one field of one source's records; without a field whole records, without a source all."""

    object: str
    source: str
    field: str


@dataclass(slots=True)
class Counts:
    """What was found of a subject.

    Args:
        records: that are not deleted.
        present: with a value; of whole records, as *records*.
        invalid: that break the contract.
        stale: whose value is older than the field's `fresh_days`.
        personal_mail: addresses at providers of private mailboxes.
        entities: that the records are of; of whole records only.
    """

    records: int = 0
    present: int = 0
    invalid: int = 0
    stale: int = 0
    personal_mail: int = 0
    entities: int = 0
    newest_time: dt.datetime | None = None

    @property
    def good_share(self) -> float:
        """Share of the records with a valid value; 1 where there are none."""
        return (self.present - self.invalid) / self.records if self.records else 1.0

    @property
    def duplicate_share(self) -> float:
        """Share of the records that repeat an entity."""
        return 1 - self.entities / self.records if self.records else 0.0

    def merged(self, other: Counts) -> None:
        """Add the counts of *other*, entities aside: those may be the same."""
        self.records += other.records
        self.present += other.present
        self.invalid += other.invalid


Measured = Mapping[Subject, Counts]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Events that break one rule of the contract.

    Args:
        open: those that wait for a person; such an event is in no record yet.
        recent: those of the days of the trend, however they ended.
    """

    source: str
    object: str
    rule: str
    field: str
    open: int
    recent: int
    first_time: dt.datetime
    last_time: dt.datetime


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured on one day, and on days before.

    Args:
        trend: subject to days and their good share, the oldest first.
        open_reviews: pairs that wait for a person; None where identity did not answer.
        quarantined: by source, object, rule and field, the most first; as of now, not of the day.
    """

    day: dt.date
    measure_time: dt.datetime
    measured: Measured
    trend: Mapping[Subject, Sequence[tuple[dt.date, float]]]
    fresh_days: Mapping[tuple[str, str], float]
    open_reviews: int | None
    quarantined: Sequence[Quarantined] = ()


@dataclass(slots=True)
class Measurement:
    """Counts of a tenant's records as far as they are read, as of *now*."""

    document: PolicyDocument
    now: dt.datetime
    scanned: int = 0
    measured: dict[Subject, Counts] = field(default_factory=dict)
    _told: dict[tuple[str, str], tuple[tuple[str, FieldPolicy, Counts], ...]] = field(default_factory=dict)
    """Object and source to the fields that its records can have, with their counts."""

    def add(self, page: Iterable[RecordState]) -> None:
        """Count one more page of records that count."""
        for record in page:
            self.scanned += 1
            policy = self.document.objects.get(cast("ObjectName", record.key.object))
            if policy is not None and _counts(record):
                self._count(policy, record)

    def note_entities(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Note of how many entities the records are; object and source, an empty source for all together."""
        for (object_name, source), count in counts.items():
            found = self.measured.get(Subject(object_name, source, ""))
            if found is not None:
                found.entities = count

    def total(self) -> None:
        """Add up each object's records over all sources; once, at the end."""
        for subject, counts in list(self.measured.items()):
            if subject.source and not subject.field:
                self._of(Subject(subject.object, "", "")).merged(counts)

    def _of(self, subject: Subject) -> Counts:
        return self.measured.setdefault(subject, Counts())

    def _count(self, policy: ObjectPolicy, record: RecordState) -> None:
        object_name, source = record.key.object, record.key.source
        broken = False
        told = self._told.get((object_name, source)) or self._tell(source, object_name, policy)
        for name, item, counts in told:
            counts.records += 1
            fact = record.fields.get(name)
            if fact is not None and fact.value is not None:
                broken |= _count_value(counts, item, fact, self.now)
        if is_attached(record.key):  # what a provider adds is no record that could be whole, or double
            return
        whole = self._of(Subject(object_name, source, ""))
        whole.records += 1
        whole.present += 1
        values = {name: fact.value for name, fact in record.fields.items() if fact.value is not None}
        whole.invalid += broken or _contradicts(policy, values)

    def _tell(
        self, source: str, object_name: str, policy: ObjectPolicy
    ) -> tuple[tuple[str, FieldPolicy, Counts], ...]:
        names = self._fields_of(source, object_name, policy)
        told = tuple(
            (name, policy.fields[name], self._of(Subject(object_name, source, name))) for name in names
        )
        self._told[object_name, source] = told
        return told

    def _fields_of(self, source: str, object_name: str, policy: ObjectPolicy) -> Iterable[str]:
        """Return the fields that *source* can state: those that its mapping reads."""
        system = self.document.systems.get(source)
        inbound = system.inbound.get(cast("ObjectName", object_name)) if system else None
        if inbound is None:
            return policy.fields
        return dict.fromkeys(reading.field for _, reading in inbound.readings())


def _counts(record: RecordState) -> bool:
    """Say whether a record counts: operators' corrections, deleted ones and those not heard of yet do not."""
    return record.speaks and not record.deleted and not is_attached(record.key)


def fresh_days_of(document: PolicyDocument) -> dict[tuple[str, str], float]:
    """Return object and field to the age from which its values are stale; those that do not age are absent."""
    return {
        (object_name, name): item.fresh_days
        for object_name, policy in document.objects.items()
        for name, item in policy.fields.items()
        if item.fresh_days is not None
    }


def _count_value(counts: Counts, policy: FieldPolicy, fact: FieldFact, now: dt.datetime) -> bool:
    """Count one value; return whether it breaks the contract."""
    counts.present += 1
    if counts.newest_time is None or counts.newest_time < fact.field_time:
        counts.newest_time = fact.field_time
    if policy.fresh_days is not None and now - fact.field_time > dt.timedelta(days=policy.fresh_days):
        counts.stale += 1
    if policy.type == "email" and str(fact.value).rpartition("@")[2] in PERSONAL_MAIL_DOMAINS:
        counts.personal_mail += 1
    broken = isinstance(read_value(policy, InboundField(field="value"), fact.value), Broken)
    counts.invalid += broken
    return broken


def _contradicts(policy: ObjectPolicy, values: Mapping[str, Any]) -> bool:
    """Tell whether a record lacks what is required, or two of its fields contradict each other."""
    if any(item.required and name not in values for name, item in policy.fields.items()):
        return True
    if any(not any(name in values for name in group) for group in policy.require_any):
        return True
    return any(
        name in values
        and country in values
        and not places.fits(policy.fields[name].format, str(values[name]), str(values[country]))
        for name, country in policy.consistent
    )

"""Looks at records that no delivery holds now: those that one had to give up, and those that one may have made."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pytest

from headwater.policy.loading import load_policy
from headwater.sync.domain.echoing import GONE_RECORD, CrmKey, FormerRecord, OwnWrite, Ruling
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, Position
from headwater.sync.domain.polling import poll_plans
from headwater.sync.domain.reading import Echo, RecordReading, read_event
from headwater.sync.projector.echoes import Echoes, FoundRecord, Judged, Place

pytestmark = pytest.mark.anyio

TENANT: Final = "acme"
NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SKEW: Final = dt.timedelta(seconds=5)
ENTITY: Final = uuid.UUID(int=7)
OLD: Final[CrmKey] = (TENANT, "crm", "contacts", "101")
POLICY: Final = """
format: headwater/v1
version: "1"
systems:
  crm: {layer: record, owner: a, backup: b, runbook: docs/crm, echo_skew_s: 5, inbound: {
    contact: {fields: {email: email, title: title}}}}
objects:
  contact: {fields: {
    email: {type: email, owners: [crm], rule: source_priority},
    title: {type: text, owners: [crm], rule: most_recent}}}
connectors:
  crm:
    vendor: hubspot
    system: crm
    base_url: http://127.0.0.1:1
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: a
    backup: b
    runbook: docs/crm
    limits: {window: {calls: 100, window_s: 1}, batch_records: 100}
    objects:
      contact: [{target: contacts, external_id: headwater_id, direction: two_way, conflict: policy,
        fields: {email: {field: email}, title: {field: title}}}]
"""
DOCUMENT: Final = load_policy(POLICY)


@dataclass(slots=True)
class Stored:
    """What is stored, as a test says."""

    former: Mapping[CrmKey, FormerRecord] = field(default_factory=dict)
    held: Mapping[CrmKey, FoundRecord] = field(default_factory=dict)
    ruled: Mapping[uuid.UUID, Ruling] = field(default_factory=dict)
    written: Mapping[Place, FoundRecord] = field(default_factory=dict)
    asked: list[dict[Place, dt.datetime]] = field(default_factory=list)

    async def find(self, keys: Sequence[CrmKey]) -> Mapping[CrmKey, FoundRecord]:
        """Return those that are held."""
        return {key: self.held[key] for key in keys if key in self.held}

    async def find_former(self, keys: Sequence[CrmKey]) -> Mapping[CrmKey, FormerRecord]:
        """Return those that were given up."""
        return {key: self.former[key] for key in keys if key in self.former}

    async def find_written(self, places: Sequence[Place]) -> Mapping[Place, FoundRecord]:
        """Return those that were written, or may have been."""
        return {place: self.written[place] for place in places if place in self.written}

    async def own_writes(self, records: Sequence[Place]) -> Mapping[Place, Sequence[OwnWrite]]:
        """Return nothing."""
        del records
        return {}

    async def sought(
        self, waits_since: Mapping[Place, dt.datetime]
    ) -> Mapping[Place, Sequence[tuple[str, Any]]]:
        """Return nothing; note what was asked."""
        self.asked.append(dict(waits_since))
        return {}

    async def ruled_to(self, shards: Sequence[int]) -> Mapping[int, Position]:
        """Return the end of the log when there are rulings: it is projected again."""
        return dict.fromkeys(shards, Position(99, 99)) if self.ruled else {}

    async def rulings(self, events: Sequence[tuple[str, uuid.UUID]]) -> Mapping[uuid.UUID, Ruling]:
        """Return those that are known."""
        return {key: self.ruled[key] for _, key in events if key in self.ruled}


def told(after_s: float = -60.0, operation: int = 1, more: Mapping[str, str] | None = None) -> LogEvent:
    """Return what the CRM tells of the old record, changed last *after_s* from noon, and *more* of its fields."""
    return LogEvent(
        tenant_id=TENANT,
        event_key=uuid.UUID(int=1),
        source="crm",
        object="contact",
        external_id=OLD[3],
        event_time=NOON + dt.timedelta(seconds=after_s),
        record_time=NOON + dt.timedelta(hours=1),
        operation=operation,
        actor_id="",
        payload=msgspec.json.encode({"email": "ada@x.io", "title": "Countess", **(more or {})}),
        trace=None,
        shard=0,
        position=Position(1, 1),
    )


async def judged(stored: Stored, event: LogEvent) -> Judged:
    """Return what counts of *event*."""
    policies = {TENANT: DOCUMENT}
    return await Echoes(stored).judge(policies, [read_event(DOCUMENT, event)])


GIVEN_UP: Final = {OLD: FormerRecord(ENTITY, NOON)}


async def test_what_is_told_late_of_a_record_that_is_gone_does_not_count() -> None:
    """It ends by a rule of its own, noted for rebuilds, and binds nothing to the old record."""
    after = await judged(Stored(GIVEN_UP), told())
    assert after.readings == [Echo(told(), GONE_RECORD)]
    assert after.rulings == [Ruling(TENANT, told().event_key, ENTITY, (), GONE_RECORD)]
    assert (after.sightings, after.unheld, after.observations) == ({}, {}, [])


async def test_a_rebuild_repeats_the_ruling() -> None:
    """Whatever is known of the record by then."""
    ruling = Ruling(TENANT, told().event_key, ENTITY, (), GONE_RECORD)
    after = await judged(Stored(ruled={told().event_key: ruling}), told())
    assert after.readings == [Echo(told(), GONE_RECORD)]
    assert after.rulings == []


@pytest.mark.parametrize(("after_s", "counts"), [(4.0, False), (6.0, True)])
async def test_a_record_that_somebody_has_brought_back_speaks_again(after_s: float, *, counts: bool) -> None:
    """What is younger than its loss, by more than clocks may differ, is a look at an unknown record."""
    assert SKEW.total_seconds() == DOCUMENT.systems["crm"].echo_skew_s
    after = await judged(Stored(GIVEN_UP), told(after_s))
    assert isinstance(after.readings[0], RecordReading) is counts
    assert bool(after.sightings) is counts


async def test_a_record_that_is_held_again_is_its_deliverys() -> None:
    """What differs from what the delivery knows is a change."""
    found = FoundRecord(OLD, ENTITY, "contact", {"email": "ada@x.io", "title": "Lady"}, {})
    after = await judged(Stored(GIVEN_UP, {OLD: found}), told())
    [reading] = after.readings
    assert isinstance(reading, RecordReading)
    assert reading.fields == {"title": "Countess"}


async def test_the_deletion_of_a_record_that_is_gone_is_told_of_its_entity() -> None:
    """Whomever identity would take it for."""
    after = await judged(Stored(GIVEN_UP), told(operation=OPERATION_DELETE))
    [reading] = after.readings
    assert isinstance(reading, RecordReading)
    assert reading.deleted
    assert after.held == {reading.subject.key: ENTITY}


MARK: Final = {"headwater_id": str(ENTITY)}
PLACE: Final[Place] = (TENANT, "crm", ENTITY)


def written(crm_id: str = "", title: str = "Countess", settle_time: dt.datetime | None = None) -> Stored:
    """Return a store with a write for the entity whose end was not heard, at *crm_id* if it had a record before."""
    known = {"email": "ada@x.io", "title": "Lady"} if crm_id else {}
    values = {"email": "ada@x.io", "title": title}
    return Stored(
        written={PLACE: FoundRecord((*OLD[:3], crm_id), ENTITY, "contact", known, values, NOON, settle_time)}
    )


async def test_a_record_with_our_mark_is_its_entitys_before_we_know_that_we_made_it() -> None:
    """The create was applied and its answer lost: identity is not asked whose it is, and nothing binds it."""
    after = await judged(written(), told(more=MARK))
    [reading] = after.readings
    assert isinstance(reading, Echo)
    assert list(after.held.values()) == [ENTITY]
    assert (after.sightings, after.unheld, after.observations) == ({}, {}, [])


async def test_what_somebody_changed_in_a_marked_record_counts() -> None:
    """Only what we may have written ourselves is an echo."""
    after = await judged(written(title="Lady"), told(more=MARK))
    [reading] = after.readings
    assert isinstance(reading, RecordReading)
    assert reading.fields == {"title": "Countess"}
    assert after.held == {reading.subject.key: ENTITY}


@pytest.mark.parametrize(
    ("stored", "mark"),
    [
        (written(), {}),
        (written(), {"headwater_id": "not an id"}),
        (written(), {"headwater_id": str(uuid.UUID(int=8))}),
        (written(crm_id="102"), MARK),
        (Stored(), MARK),
    ],
    ids=["no mark", "no id", "of another entity", "entity is elsewhere", "never written"],
)
async def test_other_marks_say_nothing(stored: Stored, mark: dict[str, str]) -> None:
    """The record is one that we do not know yet: identity says whose it is."""
    after = await judged(stored, told(more=mark))
    assert len(after.sightings) == 1
    assert after.held == {}


async def test_what_a_write_carries_is_asked_for_as_of_the_look_at_the_delivery() -> None:
    """It may be settled between the two look-ups: what waits since then is another change."""
    stored = written()
    await judged(stored, told(more=MARK))
    assert stored.asked == [{PLACE: NOON}]


@pytest.mark.parametrize(("after_s", "counts"), [(4.0, False), (6.0, True)])
async def test_a_marked_record_whose_entity_was_written_elsewhere_since_is_gone(
    after_s: float, *, counts: bool
) -> None:
    """We made it, never heard of it, and it was deleted before we looked: another took its place."""
    after = await judged(written("102", settle_time=NOON), told(after_s, more=MARK))
    assert isinstance(after.readings[0], RecordReading) is counts
    assert [item.rule for item in after.rulings] == ([] if counts else [GONE_RECORD])


async def test_a_marked_record_that_was_given_up_stays_gone() -> None:
    """It was made anew since, under the same mark."""
    both = Stored(GIVEN_UP, written=written().written)
    after = await judged(both, told(more=MARK))
    assert after.readings == [Echo(told(more=MARK), GONE_RECORD)]


def test_a_poll_asks_for_the_mark_as_well() -> None:
    """Behind what the inbound mapping reads."""
    assert poll_plans(DOCUMENT, "crm")["contacts"].polled.fields == ("email", "title", "headwater_id")


def test_a_poll_of_an_account_that_is_only_read_does_not_ask_for_the_mark() -> None:
    """We never write it there, so the CRM may not have the field and would refuse the query."""
    document = load_policy(POLICY.replace("direction: two_way, conflict: policy", "direction: in"))
    assert poll_plans(document, "crm")["contacts"].polled.fields == ("email", "title")

"""What entities mean to a timeline: activities in one form, and the keys by which others are found. Pure.

The names of fields are the policy's. Owns no rule of who is associated with whom: see `associating`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from headwater.kernel.ids import ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.survivorship import Chosen, FieldFact
from headwater.policy.timeline import Timeline
from headwater.sync.domain.associating import Activity, Deal, Person, domain_of, mailbox_of, name_of
from headwater.sync.domain.states import EntityState, RecordState

ACTING_ROLES: Final = ("from", "organizer", "caller", "author", "submitter")
"""Roles of whoever acted, the first that is there."""
ADDRESS_CHARS_MAX: Final = 255
"""As in the external ids of address records."""
THREAD_IDS_MAX: Final = 200
Homes = Mapping[tuple[str, str], uuid.UUID]
"""Source and address to the contact that the record of the address is in."""
Key = tuple[str, str]
"""Kind and value of `sync.timeline_key`."""


def activity_of(timeline: Timeline, entity: EntityState, homes: Homes) -> Activity | None:
    """Return an entity as the activity that it is; None when it has ended, or says of no time."""
    when = _text(entity.fields, timeline.time)
    if entity.state != "active" or not when:
        return None
    people = _people(timeline, entity, homes)
    chosen = entity.fields[timeline.time]
    own = str(entity.entity_id)
    message_id = _text(entity.fields, timeline.message_id) or _text(entity.fields, timeline.thread_id) or own
    others = [_text(entity.fields, timeline.thread_id), *_text(entity.fields, timeline.references).split()]
    acting = {person.role: person.address for person in reversed(people)}
    return Activity(
        tenant_id=entity.tenant_id,
        activity_id=entity.entity_id,
        kind=_text(entity.fields, timeline.kind),
        source=chosen.source,
        time=dt.datetime.fromisoformat(when),
        subject=_text(entity.fields, timeline.subject),
        message_id=message_id,
        thread_ids=tuple(dict.fromkeys((message_id, *filter(None, others))))[:THREAD_IDS_MAX],
        people=people,
        actor=_text(entity.fields, timeline.actor)
        or next((acting[role] for role in ACTING_ROLES if role in acting), ""),
        status=_text(entity.fields, timeline.status),
    )


def addresses_of(timeline: Timeline, entity: EntityState) -> list[tuple[str, str]]:
    """Return source and address of everybody who took part."""
    chosen = entity.fields.get(timeline.participants)
    if chosen is None:
        return []
    found = ((chosen.source, _address(item)) for item in chosen.value)
    return [item for item in dict.fromkeys(found) if "@" in item[1]]


def misplaced(
    timeline: Timeline, entity: EntityState, homes: Homes, standing: Mapping[uuid.UUID, uuid.UUID]
) -> bool:
    """Tell whether an activity refers to somebody else than those that its participants' records are in now."""
    chosen = entity.fields.get(timeline.participants)
    return chosen is not None and any(
        _moved(item, chosen.source, homes, standing) is not None for item in chosen.value
    )


def referred(timeline: Timeline, entities: Iterable[EntityState]) -> set[uuid.UUID]:
    """Return the contacts that activities refer to."""
    lists = (entity.fields.get(timeline.participants) for entity in entities)
    return {
        uuid.UUID(item["entity_id"])
        for chosen in lists
        if chosen is not None
        for item in chosen.value
        if item.get("entity_id")
    }


def replace_people(
    timeline: Timeline, record: RecordState, homes: Homes, standing: Mapping[uuid.UUID, uuid.UUID]
) -> bool:
    """Let a record of an activity refer to the contacts that its participants' records are in; return whether it changed."""
    fact = record.fields.get(timeline.participants)
    if fact is None or not isinstance(fact.value, list):
        return False
    moved = [_moved(item, record.key.source, homes, standing) for item in fact.value]
    if not any(moved):
        return False
    value = [
        item if home is None else {**item, "entity_id": str(home)}
        for item, home in zip(fact.value, moved, strict=True)
    ]
    record.fields[timeline.participants] = FieldFact(value, fact.field_time, fact.event_key)
    return True


def keys_of(
    policy: PolicyDocument, entity: EntityState, standing: Mapping[uuid.UUID, uuid.UUID]
) -> frozenset[Key]:
    """Return what a contact, an account or a deal is looked up by; nothing of one that has ended.

    Args:
        standing: entity that is referred to, to the one that stands for it.
    """
    timeline, known = policy.timeline, policy.objects.get(cast("ObjectName", entity.object))
    if timeline is None or known is None or entity.state != "active":
        return frozenset()
    found: list[Key] = []
    if entity.object == "contact":
        mails = (name for name, item in known.fields.items() if item.type == "email")
        found += (("mailbox", mailbox_of(text)) for name in mails if (text := _text(entity.fields, name)))
        found.append(("company", name_of(_text(entity.fields, timeline.contact_company))))
    elif entity.object == "account":
        found.append(("domain", domain_of(_text(entity.fields, timeline.account_domain))))
        found.append(("name", name_of(_text(entity.fields, timeline.account_name))))
    for target, named in references_of(policy, entity):
        kind = "employer" if entity.object == "contact" and target == "account" else target
        if entity.object == "deal" or kind == "employer":
            found.append((kind, str(standing.get(named, named))))
    return frozenset(item for item in found if item[1])


def references_of(policy: PolicyDocument, entity: EntityState) -> Iterator[tuple[str, uuid.UUID]]:
    """Yield object and entity of every account and contact that an entity refers to."""
    known = policy.objects.get(cast("ObjectName", entity.object))
    for name, item in known.fields.items() if known else ():
        text = _text(entity.fields, name) if item.reference in {"account", "contact"} else ""
        if text:
            yield str(item.reference), uuid.UUID(text)


def touched_by(
    entity: EntityState,
    before: frozenset[Key],
    after: frozenset[Key],
    staff: Mapping[str, Collection[uuid.UUID]],
) -> set[Key]:
    """Return which activities have to be looked at again once an entity's keys have changed, as kind and value of a spread.

    Args:
        staff: name of a company to the contacts that give it as theirs.
    """
    if entity.object == "deal":  # its stage and its days count as well
        return {("concerns", value) for _, value in before | after}
    found: set[Key] = set()
    for kind, value in before ^ after:
        if kind in {"mailbox", "domain"}:
            found.add((kind, value))
        elif kind == "name":
            found.update(("concerns", str(contact)) for contact in staff.get(value, ()))
        else:
            found.add(("concerns", str(entity.entity_id)))
    return found


def deal_of(timeline: Timeline, entity: EntityState) -> Deal:
    """Return an entity as the deal that it is."""
    words = (timeline.deal_stage, timeline.deal_from, timeline.deal_until)
    return Deal(entity.entity_id, *(_text(entity.fields, word) for word in words))


def _people(timeline: Timeline, entity: EntityState, homes: Homes) -> tuple[Person, ...]:
    chosen = entity.fields.get(timeline.participants)
    items: Sequence[Any] = chosen.value if chosen is not None else ()
    source = chosen.source if chosen is not None else ""
    found = (
        Person(
            item["role"],
            _address(item),
            item["name"],
            homes.get((source, _address(item)[:ADDRESS_CHARS_MAX])),
        )
        for item in items
    )
    return tuple(person for person in dict.fromkeys(found) if "@" in person.address)


def _moved(
    item: Mapping[str, str], source: str, homes: Homes, standing: Mapping[uuid.UUID, uuid.UUID]
) -> uuid.UUID | None:
    """Return the contact that a participant should refer to, where it is another than the one it does."""
    home = homes.get((source, _address(item)[:ADDRESS_CHARS_MAX]))
    if home is None:
        return None
    named = uuid.UUID(item["entity_id"]) if item.get("entity_id") else None
    return home if named is None or standing.get(named, named) != home else None


def _address(item: Mapping[str, str]) -> str:
    return item["address"].strip().lower()


def _text(fields: Mapping[str, Chosen], name: str) -> str:
    chosen = fields.get(name)
    return "" if chosen is None or chosen.value is None else str(chosen.value)

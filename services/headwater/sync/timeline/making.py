"""Makes one page of timelines: reads what is known around its entities, asks the pure decisions, writes the answers."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from headwater.policy.document import PolicyDocument
from headwater.policy.timeline import Timeline
from headwater.sync.domain.associating import Activity, Around, Association, Deal, associate, domains_of
from headwater.sync.domain.gathering import (
    ADDRESS_CHARS_MAX,
    Homes,
    Key,
    activity_of,
    addresses_of,
    deal_of,
    keys_of,
    misplaced,
    references_of,
    referred,
    replace_people,
    touched_by,
)
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.log import LogEvent, Position
from headwater.sync.domain.states import EntityState
from headwater.sync.domain.threads import join_threads
from headwater.sync.timeline.ports import TimelineUnit, Written

Moves = Mapping[uuid.UUID, tuple[Sequence[Association], Sequence[Association]]]
"""Activity to whom it concerned and concerns, of those where these differ."""
_ACTOR: Final = "sync"


@dataclass(frozen=True, slots=True)
class Page:
    """Entities of one tenant to work on, and the event because of which."""

    tenant_id: str
    entities: tuple[uuid.UUID, ...]
    event_key: uuid.UUID
    time: dt.datetime


async def make(unit: TimelineUnit, policy: PolicyDocument, page: Page) -> Moves:
    """Give entities their keys, associate activities; return which activities concern others than before."""
    entities = await unit.read_entities(page.tenant_id, page.entities)
    others = [item for item in entities if item.object != "activity"]
    if others:
        await _key(unit, policy, page, others)
    activities = [item for item in entities if item.object == "activity"]
    timeline = policy.timeline
    if timeline is None or not activities:
        return {}
    return await _associate(unit, policy, timeline, page, activities)


async def _key(
    unit: TimelineUnit, policy: PolicyDocument, page: Page, entities: Sequence[EntityState]
) -> None:
    tenant_id = page.tenant_id
    named = {target for entity in entities for _, target in references_of(policy, entity)}
    standing = await unit.standing_of(tenant_id, named)
    before = await unit.keys_of(tenant_id, [item.entity_id for item in entities])
    after = {item.entity_id: keys_of(policy, item, standing) for item in entities}
    changed = {key: held for key, held in after.items() if held != before.get(key, frozenset())}
    if changed:
        await unit.write_keys(tenant_id, changed)
    names = {
        ("company", value)
        for entity_id in changed
        for kind, value in before.get(entity_id, frozenset()) ^ after[entity_id]
        if kind == "name"
    }
    staff = {value: held for (_, value), held in (await unit.having(tenant_id, names)).items()}
    wanted: set[Key] = set()
    for entity in entities:
        held = before.get(entity.entity_id, frozenset())
        wanted |= touched_by(entity, held, after[entity.entity_id], staff)
    if wanted:
        await unit.begin_spreads(tenant_id, page.event_key, sorted(wanted))


async def _associate(
    unit: TimelineUnit,
    policy: PolicyDocument,
    timeline: Timeline,
    page: Page,
    entities: Sequence[EntityState],
) -> Moves:
    tenant_id = page.tenant_id
    addresses = {item for entity in entities for item in addresses_of(timeline, entity)}
    homes = await unit.homes_of(tenant_id, [(source, one[:ADDRESS_CHARS_MAX]) for source, one in addresses])
    standing = await unit.standing_of(tenant_id, referred(timeline, entities) | set(homes.values()))
    homes = {place: standing.get(home, home) for place, home in homes.items()}
    wrong = [item.entity_id for item in entities if misplaced(timeline, item, homes, standing)]
    if wrong:
        await _put_right(unit, policy, timeline, page, wrong, homes, standing)
    found = {entity.entity_id: activity_of(timeline, entity, homes) for entity in entities}
    activities = [item for item in found.values() if item is not None]
    around = await _around(unit, timeline, tenant_id, activities)
    before = await unit.associations_of(tenant_id, list(found))
    after = {item.activity_id: associate(timeline, item, around) for item in activities}
    named = [item.thread_ids for item in activities]
    held = await unit.threads_of(tenant_id, {name for names in named for name in names})
    threads, former = join_threads(named, held)
    placed = {person.mailbox for item in activities for person in item.people if person.home is not None}
    late = await unit.unplaced(tenant_id, placed)
    gone = [activity_id for activity_id, item in found.items() if item is None]
    await unit.write(tenant_id, Written(activities, after, gone, threads, former))
    if late:
        await unit.begin_spreads(tenant_id, page.event_key, sorted(("mailbox", item) for item in late))
    return {
        activity_id: (tuple(before.get(activity_id, ())), after.get(activity_id, ()))
        for activity_id in found
        if _whom(before.get(activity_id, ())) != _whom(after.get(activity_id, ()))
    }


def _whom(associations: Sequence[Association]) -> set[uuid.UUID]:
    return {item.entity_id for item in associations}


async def _put_right(
    unit: TimelineUnit,
    policy: PolicyDocument,
    timeline: Timeline,
    page: Page,
    activities: Collection[uuid.UUID],
    homes: Homes,
    standing: Mapping[uuid.UUID, uuid.UUID],
) -> None:
    """Let activities refer to the contacts that their participants are in, as the CRMs will have it: behind live changes."""
    workspace = await unit.load_activities(policy, page.tenant_id, activities)
    event = _event(page)
    for record in list(workspace.records.values()):
        if replace_people(timeline, record, homes, standing):
            workspace.records_changed[record.key] = record
            entity = workspace.entities[page.tenant_id, record.entity_id]
            workspace.renew(entity, event, "reassociated")
    workspace.marks = {
        key: structs.replace(mark, lane=Lane.BACKFILL) for key, mark in workspace.marks.items()
    }
    await unit.write_workspace(workspace)


async def _around(
    unit: TimelineUnit, timeline: Timeline, tenant_id: str, activities: Sequence[Activity]
) -> Around:
    """Return what is known around *activities*, from contacts over accounts to deals."""
    people = [person for item in activities for person in item.people]
    mailboxes = {person.mailbox for person in people if person.home is None}
    by_mailbox = _values(await unit.having(tenant_id, (("mailbox", item) for item in sorted(mailboxes))))
    contacts = {person.home for person in people if person.home is not None}
    contacts.update(entity_id for held in by_mailbox.values() for entity_id in held)
    keys = await unit.keys_of(tenant_id, contacts)
    employers = {
        one: [uuid.UUID(v) for kind, v in sorted(held) if kind == "employer"] for one, held in keys.items()
    }
    companies = {one: value for one, held in keys.items() for kind, value in held if kind == "company"}
    domains = {domain for person in people for domain in domains_of(person.domain)}
    wanted = [("domain", item) for item in sorted(domains)]
    wanted += [("name", item) for item in sorted(set(companies.values()))]
    found = await unit.having(tenant_id, wanted)
    by_domain = {value: held for (kind, value), held in found.items() if kind == "domain"}
    by_name = {value: held for (kind, value), held in found.items() if kind == "name"}
    accounts = {one for held in (*employers.values(), *found.values()) for one in held}
    deals = await _deals(unit, timeline, tenant_id, contacts, accounts)
    return Around(by_mailbox, employers, companies, by_domain, by_name, deals)


async def _deals(
    unit: TimelineUnit,
    timeline: Timeline,
    tenant_id: str,
    contacts: Collection[uuid.UUID],
    accounts: Collection[uuid.UUID],
) -> dict[uuid.UUID, list[Deal]]:
    wanted = [("contact", str(item)) for item in sorted(contacts)]
    wanted += [("account", str(item)) for item in sorted(accounts)]
    found = await unit.having(tenant_id, wanted)
    every = {one for held in found.values() for one in held}
    deals = {item.entity_id: deal_of(timeline, item) for item in await unit.read_entities(tenant_id, every)}
    return {
        uuid.UUID(value): [deals[one] for one in held if one in deals] for (_, value), held in found.items()
    }


def _values(found: Mapping[Key, Collection[uuid.UUID]]) -> dict[str, Collection[uuid.UUID]]:
    return {value: held for (_, value), held in found.items()}


def _event(page: Page) -> LogEvent:
    """Return the event by which activities are put right, as their audit names it."""
    place = Position(0, 0)
    return LogEvent(
        page.tenant_id,
        page.event_key,
        _ACTOR,
        "activity",
        "",
        page.time,
        page.time,
        1,
        "",
        b"",
        None,
        0,
        place,
    )

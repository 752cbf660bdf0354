"""The checker: what must hold of a run, whatever broke in it. Pure over the world that a run leaves behind.

I1 nothing accepted is lost, I2 one visible effect, I3 order per entity, I4 breaker, I5 limits, I6 audit,
I8 isolation, I9 convergence, I10 bounds, I11 approval: the invariants of the fault matrix that the engine answers for.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.simulation.approving import approval_violations
from tests.simulation.breaking import NEAR_S, breaker_violations
from tests.simulation.crm import Crm, CrmRecord
from tests.simulation.expecting import expected_titles
from tests.simulation.plan import PlannedAccount
from tests.simulation.policies import RETRY, title_of
from tests.simulation.rolling import rollout_violations
from tests.simulation.store.tables import DUE_STATES, AttemptRow, DeliveryRow
from tests.simulation.world import World

from headwater.sync.domain.replaying import BURST_S
from headwater.sync.domain.settling import State
from headwater.sync.domain.states import EntityKey

ISOLATION_S_MAX: Final = 15.0
"""Longest way of an event to a healthy CRM while another one is ill."""
LANES_S_MAX: Final = 15.0
"""Longest wait of the slower lanes for their first records while the lane before them never drains."""
LANES_FIRST: Final = 2
"""Records of a slower lane that may not wait for longer."""
REPLAY_NEAR: Final = 0.2
"""What a replay may be ahead by: the way to the database between a decision and its time."""
_ENTITY: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OBJECTS: Final = {"contact": "Contact", "account": "Account"}


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold, and where."""

    invariant: str
    where: str


def check(world: World) -> list[Violation]:
    """Return everything that is wrong with a run that came to its end."""
    found: list[Violation] = []
    for invariant, rule in _RULES:
        found += [Violation(invariant, where) for where in rule(world)]
    return found


def _accounts(world: World) -> Iterator[tuple[PlannedAccount, Crm, dict[uuid.UUID, DeliveryRow]]]:
    for account in world.plan.accounts:
        yield account, world.crms[account.crm], world.tables.account((account.tenant, account.name))


def _records_of(crm: Crm, row: DeliveryRow) -> list[CrmRecord]:
    name = _OBJECTS[row.object]
    return [r for r in crm.records.values() if r.external_id == str(row.entity_id) and r.crm_object == name]


def _nothing_lost(world: World) -> Iterator[str]:
    tables = world.tables
    for event in world.recorded:
        if (event.tenant_id, event.event_key) not in tables.projections:
            yield f"event {event.position.seq} is not projected"
    titles = expected_titles(world)
    for key, title in titles.items():
        entity = tables.entities.get(key)
        held = entity.fields["title"].value if entity and "title" in entity.fields else None
        if held != title:
            yield f"entity {key[1]} shows title {held}, its records say {title}"
    for account, crm, rows in _accounts(world):
        for key, title in titles.items():
            if key[0] == account.tenant:
                yield from _not_delivered(world, crm, key, rows.get(key[1]), title)


def _not_delivered(
    world: World, crm: Crm, key: EntityKey, row: DeliveryRow | None, title: str
) -> Iterator[str]:
    entity = world.tables.entities.get(key)
    if entity is None or entity.state != "active":
        return
    if row is None:
        yield f"{crm.name}: entity {key[1]} was never marked"
        return
    if row.state is State.DISCARDED:
        return  # an operator has said so
    if row.state is State.DEAD:
        note = entity.fields["note"].value if "note" in entity.fields else ""
        if not _may_be_dead(crm, row, note) or _is_in_its_own_way(world, row):
            yield f"{crm.name}: {key[1]} is dead of {row.last_error_class}: {row.last_error}"
        return
    if row.state in DUE_STATES:
        return  # I9 tells
    if row.delivered_version != entity.version:
        yield f"{crm.name}: {key[1]} stands at {row.delivered_version} of {entity.version}"
    records = _records_of(crm, row)
    shown = [record.fields.get("Title") for record in records]
    if title not in shown and (crm.name, str(key[1])) not in world.deleted:
        yield f"{crm.name}: {key[1]} should show {title}, shows {shown}"
    yield from _not_linked(world, crm, key, row, records)


def _not_linked(
    world: World, crm: Crm, key: EntityKey, row: DeliveryRow, records: list[CrmRecord]
) -> Iterator[str]:
    """A contact whose account the CRM has is linked to it."""
    if any(where == crm.name for where, _ in world.deleted):
        return
    for _, target in world.tables.references.get(key, ()):
        held = world.tables.account((row.tenant_id, row.connector)).get(target)
        if held is None or held.state is not State.DELIVERED or not held.crm_id:
            continue
        for record in records:
            if record.references.get("Account") != (held.crm_id,):
                yield f"{crm.name}: {key[1]} is not linked to {held.crm_id}"


def _may_be_dead(crm: Crm, row: DeliveryRow, note: str) -> bool:
    if note == "rejected":
        return row.last_error_class == "validation"
    if note == "mangled":
        return row.last_error_class == "poison"
    return bool(crm.nature.unique_field) and row.last_error_class == "conflict"


def _is_in_its_own_way(world: World, row: DeliveryRow) -> bool:
    """Return whether the CRM record that a dead letter names could be its own: of an entity merged into its own."""
    if row.crm_id:
        return False  # there are two in the CRM: a person merges them there
    named = {uuid.UUID(found) for found in _ENTITY.findall(row.last_error)}
    return any(one != row.entity_id == world.identity.standing(one) for one in named)


def _is_inherited(world: World, before: str, after: str) -> bool:
    """Return whether the entity that had a CRM record was merged into the one that has it now, or where that went."""
    identity, former = world.identity, uuid.UUID(before)
    return former in identity.merged and identity.standing(former) == identity.standing(uuid.UUID(after))


def _one_effect(world: World) -> Iterator[str]:
    for name, crm in world.crms.items():
        created = Counter((e.crm_object, e.external_id) for e in crm.effects if e.created)
        deleted = Counter(external for where, external in world.deleted if where == name)
        for (crm_object, external_id), count in created.items():
            if count > 1 + deleted[external_id]:
                yield f"{name}: {crm_object} {external_id} was created {count} times"
    for account, _, rows in _accounts(world):
        places = Counter((row.crm_object, row.crm_id) for row in rows.values() if row.crm_id)
        for place, count in places.items():
            if count > 1:
                yield f"{account.crm}: {count} entities write to {place}"
    for name, crm in world.crms.items():
        for effect in crm.effects:
            before, after = effect.changes.get("#external_id", ("", ""))
            if before != after and before and not _is_inherited(world, before, after):
                yield f"{name}: {effect.crm_id} of entity {before} was taken by {after}"


def _no_echoes(world: World) -> Iterator[str]:
    """Nobody but us writes in these CRMs: what they tell is ours, and none of it may count as a statement of theirs."""
    systems = {account.system for account in world.plan.accounts}
    for key, record in world.tables.records.items():
        if key.source in systems and record.fields:
            yield f"{key.source}: what we wrote in {key.external_id} came back as its own: {sorted(record.fields)}"


def _in_order(world: World) -> Iterator[str]:
    ended = {world.identity.placed.get(event.record_key) for event in world.recorded if event.operation == 2}
    for name, crm in world.crms.items():
        newest: dict[tuple[str, str], str] = {}
        for effect in crm.effects:
            title = effect.changes.get("Title", (None, None))[1]
            if title is None or uuid.UUID(effect.external_id) in ended:
                continue
            place = (effect.crm_object, effect.external_id)
            if title < newest.get(place, ""):
                yield f"{name}: {place[1]} went from {newest[place]} back to {title} at {effect.time:.3f}"
            newest[place] = title


def _within_limits(world: World) -> Iterator[str]:
    for name, crm in world.crms.items():
        if crm.over_limit:
            yield f"{name}: {len(crm.over_limit)} calls over the limit, the first at {crm.over_limit[0]:.3f}"
        if crm.over_quota:
            yield f"{name}: {len(crm.over_quota)} calls over the day's quota, the first at {crm.over_quota[0]:.3f}"
    for call in world.calls:
        for earlier in world.calls:
            if (
                earlier.retry_after_s is not None
                and (earlier.account, earlier.sender) == (call.account, call.sender)
                and earlier.end_time < call.send_time < earlier.end_time + earlier.retry_after_s - NEAR_S
            ):
                yield f"{call.account}: {call.sender} called at {call.send_time:.3f}, told to wait at {earlier.end_time:.3f} for {earlier.retry_after_s:.3f} s"
                return


def _audited(world: World) -> Iterator[str]:
    versions = Counter(row.entity_id for row in world.tables.audit if not row.connector)
    for key, entity in world.tables.entities.items():
        if versions[key[1]] != entity.version:
            yield f"entity {key[1]} has {versions[key[1]]} audit entries for {entity.version} versions"
    for account, crm, rows in _accounts(world):
        yield from _told_of_writes(world, account, crm, rows)


def _told_of_writes(
    world: World, account: PlannedAccount, crm: Crm, rows: dict[uuid.UUID, DeliveryRow]
) -> Iterator[str]:
    told: dict[str, list[object]] = defaultdict(list)
    for entry in world.tables.audit:
        place = (_tenant(world, entry.entity_id), entry.connector)
        if entry.entity_id in rows and place == account.place:
            told[str(entry.entity_id)] += [c["after"] for c in entry.changes if c["field"] == "Title"]
    seen: dict[str, list[object]] = defaultdict(list)
    for effect in crm.effects:
        if "Title" in effect.changes:
            seen[effect.external_id].append(effect.changes["Title"][1])
    gone = {external for where, external in world.deleted if where == crm.name}
    if not account.is_unmetered:  # what the quota leaves waiting tells when it goes on
        gone |= {str(row.entity_id) for row in rows.values() if row.is_due}
    unknown = _given_up_in_doubt(world, rows)
    for external_id, values in seen.items():
        if external_id in unknown and set(told[external_id]) <= set(values):
            continue
        if external_id not in gone and not _tells(told[external_id], values, strict=_strict(world)):
            yield f"{crm.name}: {external_id} was given {values}, the audit tells {told[external_id]}"


def _given_up_in_doubt(world: World, rows: dict[uuid.UUID, DeliveryRow]) -> set[str]:
    """Return whom an operator has discarded, knowing that the fate of the last write is not known."""
    return {
        str(entry.entity_id)
        for entry in world.tables.audit
        if entry.action == "deliveries_discarded"
        and entry.entity_id in rows
        and rows[entry.entity_id].state is State.DISCARDED
        and any(change["field"] == "" and change["after"] == "in_doubt" for change in entry.changes)
    }


def _strict(world: World) -> bool:
    """Whether every answer came: then the audit tells each change; else changes in doubt are told together."""
    return not any(fault.kind != "policy" for fault in world.plan.faults)


def _tells(told: list[object], given: list[object], *, strict: bool) -> bool:
    """Whether the audit tells what was given: all in order, or at least nothing else and the end of it."""
    if strict:
        return told == given
    rest = iter(given)
    return bool(told) and told[-1] == given[-1] and all(value in rest for value in told)


def _tenant(world: World, entity_id: uuid.UUID) -> str:
    return next(tenant for tenant, held in world.tables.entities if held == entity_id)


def _isolated(world: World) -> Iterator[str]:
    if world.plan.profile != "isolation":
        return
    ill = {fault.target for fault in world.plan.faults}
    # what a merge or a deletion brings back was said long before
    turned = {
        (event.tenant, subject)
        for event in world.plan.events
        if event.kind in {"merge", "delete"}
        for subject in (event.subject, event.other)
    }
    times = {
        title_of(event.number): event.time_s
        for event in world.plan.events
        if (event.tenant, event.subject) not in turned
    }
    for name, crm in world.crms.items():
        if name in ill or crm.nature.unique_field:
            continue
        for effect in crm.effects:
            title = effect.changes.get("Title", (None, None))[1]
            late_s = effect.time - times.get(str(title), effect.time)
            if late_s > ISOLATION_S_MAX:
                yield f"{name} is healthy and got {title} {late_s:.1f} s late"


def _lanes_served(world: World) -> Iterator[str]:
    """What is less urgent waits longer, and never for all that is urgent."""
    if world.plan.profile != "lanes":
        return
    slow = [event for event in world.plan.events if event.source == "bulk"][:LANES_FIRST]
    for account, crm, _ in _accounts(world):
        for event in slow:
            times = [
                e.time
                for e in crm.effects
                if e.changes.get("Title", (None, None))[1] == title_of(event.number)
            ]
            late_s = min(times, default=float("inf")) - event.time_s
            if late_s > LANES_S_MAX:
                yield f"{account.crm}: {event.subject} of a slower lane waited for {late_s:.1f} s"


def _numbered(world: World) -> Iterator[str]:
    """Tries of one delivery count on until one of them ends it."""
    before: dict[tuple[str, str, uuid.UUID], AttemptRow] = {}
    for attempt in world.tables.attempts:
        place = (attempt.tenant_id, attempt.connector, attempt.entity_id)
        last = before.get(place)
        wanted = last.number + 1 if last is not None and last.outcome in {"failed", "in_doubt"} else 1
        if attempt.number != wanted:
            yield f"{attempt.connector}: try {attempt.number} of {attempt.entity_id} should be number {wanted}"
        before[place] = attempt


def _at_rates(world: World) -> Iterator[str]:
    """No replay makes more deliveries due, in any span, than its rate and its burst allow."""
    for replay in world.tables.replays.values():
        rule = f"replay {replay.replay_id}"
        times = [
            note.time
            for note in world.tables.audit
            if any(change.get("rule") == rule for change in note.changes)
        ]
        for number, begin in enumerate(times):
            for count, end in enumerate(times[number:], start=1):
                span_s = (end - begin).total_seconds()
                if count > (span_s + BURST_S) * replay.rate_per_s + 1 + REPLAY_NEAR:
                    yield f"{rule}: {count} deliveries in {span_s:.3f} s at {replay.rate_per_s} a second"
                    return


def _patient(world: World) -> Iterator[str]:
    """What the vendor's absence has hit is tried through both tiers before it is buried."""
    tries = len(RETRY["fast_s"]) + len(RETRY["slow_s"])
    for attempt in world.tables.attempts:
        gave_up = attempt.state is State.DEAD and attempt.error_class in {"network", "server", "auth"}
        if gave_up and attempt.number <= tries:
            yield f"{attempt.connector}: {attempt.entity_id} is buried at try {attempt.number} of {tries + 1}"


def _converged(world: World) -> Iterator[str]:
    for process in [*world.graveyard, *world.processes.values()]:
        if process.error is not None:
            yield f"{process.label} died of {process.error!r}"
    if world.settle_time is not None:
        return
    for account, _, rows in _accounts(world):
        for row in rows.values():
            if row.state in DUE_STATES and account.is_unmetered:
                yield f"{account.crm}: {row.entity_id} still stands at {row.state.name}, {row.last_error_class} {row.last_error}"


def _bounded(world: World) -> Iterator[str]:
    for account in world.plan.accounts:
        mine = [call for call in world.calls if call.account == account.crm]
        for sender in {call.sender: None for call in mine}:
            edges = sorted(
                edge
                for call in mine
                if call.sender == sender
                for edge in ((call.send_time, 1), (call.end_time, -1))
            )
            level = 0
            for _, step in edges:
                level += step
                if level > account.concurrency:
                    yield f"{account.crm}: {sender} had more than {account.concurrency} calls under way"
                    break
        for arrival in world.crms[account.crm].arrivals:
            if len(arrival.request.writes) > account.batch_records:
                yield f"{account.crm}: a call of {len(arrival.request.writes)} records"


_RULES: Final[tuple[tuple[str, Callable[[World], Iterator[str]]], ...]] = (
    ("I1", _nothing_lost),
    ("I1", _patient),
    ("I2", _one_effect),
    ("I2", _no_echoes),
    ("I3", _in_order),
    ("I4", breaker_violations),
    ("I5", _within_limits),
    ("I5", _at_rates),
    ("I8", rollout_violations),
    ("I6", _audited),
    ("I6", _numbered),
    ("I8", _isolated),
    ("I8", _lanes_served),
    ("I9", _converged),
    ("I10", _bounded),
    ("I11", approval_violations),
)

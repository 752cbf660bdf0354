"""What must hold after any crash, as pure functions: each returns one sentence per violation, none when all is well.

Numbers name the invariants: I1 nothing lost, I2 no doubled effect, I3 order, I6 audit, I9 convergence.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from tests.system.chaos.history import EFFECTIVE, Arrival, History, Logged
from tests.system.chaos.journal import Journal, Sent

from headwater.policy.outbound import same_value
from headwater.policy.outbound_mapping import OutboundObject

RECORDED: Final = frozenset({"ACCEPTED", "DUPLICATE"})
VERSION: Final = re.compile(r"\bv(\d+)$")
"""How a version stands at the end of a field's text."""
MOVING: Final = {1: "pending", 3: "retrying", 4: "in doubt", 5: "dead", 6: "discarded"}
"""States of a delivery in which a world without faults must have none left."""

Oracle = Callable[[Journal, History], Iterable[str]]


def judge(journal: Journal, history: History) -> list[str]:
    """Return every violation of every invariant."""
    return [f"{name}: {found}" for name, oracle in ORACLES for found in oracle(journal, history)]


def nothing_lost(journal: Journal, history: History) -> Iterator[str]:
    """I1: every key asked for was answered, and is one row with the content that was sent."""
    rows: dict[str, list[Logged]] = {}
    for row in history.log:
        rows.setdefault(row.request_id, []).append(row)
    for request_id, item in journal.sent.items():
        answers = journal.answers.get(request_id, [])
        found = rows.pop(request_id, [])
        if not answers:
            yield f"{request_id} never settled: {journal.unknown.get(request_id)}"
        elif strange := {answer.disposition for answer in answers} - RECORDED:
            yield f"{request_id} was answered {sorted(strange)}"
        if sum(answer.disposition == "ACCEPTED" for answer in answers) > 1:
            yield f"{request_id} was accepted more than once"
        if len(found) != 1:
            yield f"{request_id} has {len(found)} rows (answers: {answers})"
            continue
        yield from _same_content(item, found[0])
        if keys := {answer.event_key for answer in answers} - {found[0].event_key}:
            yield f"{request_id} was acknowledged as {sorted(keys)} and is {found[0].event_key}"
    for request_id in rows:
        yield f"{request_id} is recorded and was never sent"


def _same_content(item: Sent, row: Logged) -> Iterator[str]:
    wanted = (item.place, item.event_time_us, item.payload)
    if (row.place, row.event_time_us, row.payload) != wanted:
        yield f"{item.request_id} holds {row}, sent was {item}"


def projected_once(_: Journal, history: History) -> Iterator[str]:
    """I1: every accepted event ended exactly once, by effect or by a named rule, none by poison."""
    times = Counter(item.event_key for item in history.projections)
    logged = {row.event_key for row in history.log}
    for event_key in logged - times.keys():
        yield f"event {event_key} was never projected"
    for event_key in times.keys() - logged - history.own_events:
        yield f"projection {event_key} has no event"
    for item in history.projections:
        if times[item.event_key] > 1:
            yield f"event {item.event_key} has {times[item.event_key]} projections"
        if item.poisoned or not item.rule:
            yield f"event {item.event_key} ended by {item.rule!r}: {item.error}"


def one_record_each(_: Journal, history: History) -> Iterator[str]:
    """I2: what is delivered is one CRM record, and no CRM record is there that nobody delivered."""
    created = Counter(
        (item.vendor, item.object, item.external_id)
        for item in history.arrivals
        if item.effect == "created" and item.external_id
    )
    for place, times in created.items():
        if times > 1:
            yield f"{place} was created {times} times"
    held = Counter((item.vendor, item.object, item.external_id) for item in history.records)
    for place, times in held.items():
        if times > 1:
            yield f"{place} is {times} CRM records"
    there = {(item.vendor, item.object, item.external_id, item.record_id) for item in history.records}
    wanted = {
        (item.connector, item.crm_object, item.entity_id, item.crm_id)
        for item in history.deliveries
        if item.crm_id
    }
    for missing in wanted - there:
        yield f"delivered and not in the CRM: {missing}"
    for extra in there - wanted:
        yield f"in the CRM and not delivered: {extra}"


def no_effect_twice(_: Journal, history: History) -> Iterator[str]:
    """I2: no effective write leaves a record as the effective write before left it."""
    for place, writes in _by_record(history.arrivals).items():
        values: dict[str, Any] = {}
        for write in writes:
            after = {**values, **{name: change[1] for name, change in write.changes.items()}}
            if after == values:
                yield f"{place}: write {write.sequence} repeats the one before"
            values = after


def in_order(journal: Journal, history: History) -> Iterator[str]:
    """I3: each CRM record passes through versions upwards only, and ends at the newest acknowledged one."""
    newest = {
        history.entities_of[place]: version
        for place, version in journal.newest_versions().items()
        if place in history.entities_of
    }
    for place, writes in _by_record(history.arrivals).items():
        if place[:2] not in history.version_fields:
            continue
        seen = [version for write in writes for version in _version_in(write, history.version_fields)]
        for before, after in pairwise(seen):
            if after <= before:
                yield f"{place}: version {after} after {before}"
        entity_id = writes[-1].external_id
        last = seen[-1] if seen else None
        if entity_id in newest and newest[entity_id] != last:
            yield f"{place}: ends at version {last}, acknowledged was {newest[entity_id]}"


def _version_in(write: Arrival, fields: Mapping[tuple[str, str], str]) -> list[int]:
    change = write.changes.get(fields.get((write.vendor, write.object), ""))
    found = VERSION.search(str(change[1])) if change else None
    return [int(found[1])] if found else []


def audited(_: Journal, history: History) -> Iterator[str]:
    """I6: one audit row per version of an entity, every write to a CRM told, ids unique."""
    ids = Counter(entry.audit_id for entry in history.audit)
    yield from (f"audit id {number} stands {times} times" for number, times in ids.items() if times > 1)
    versions = Counter(entry.entity_id for entry in history.audit if not entry.connector)
    for entity_id, version in history.versions.items():
        if versions[entity_id] != version:
            yield f"entity {entity_id} is at version {version} with {versions[entity_id]} audit rows"
    told: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in sorted(history.audit, key=lambda one: one.audit_id):
        if entry.connector:
            told.setdefault((entry.connector, entry.entity_id), {}).update(entry.after)
    mapped = {
        (name, target.target): target
        for name, targets in history.targets.items()
        for target in targets.values()
    }
    for record in history.records:
        target = mapped[record.vendor, record.object]
        after = told.get((record.vendor, record.external_id), {})
        for name in target.fields:
            if not _means(record.fields.get(name), after.get(name)):
                yield f"{record.vendor} {record.object} {record.external_id}: {name} is {record.fields.get(name)!r}, audited {after.get(name)!r}"


def _means(shown: Any, told: Any) -> bool:
    """Return whether both are one value; a moment is told as it was written, or as a look-up reads it."""
    if same_value(shown, told):
        return True
    try:
        return dt.datetime.fromisoformat(shown) == dt.datetime.fromisoformat(told)
    except (TypeError, ValueError):
        return False


def converged(_: Journal, history: History) -> Iterator[str]:
    """I9: nothing waits, nothing is in flight, no lease is a dead process's, no change is unsent."""
    for item in history.deliveries:
        if item.state in MOVING:
            yield f"{item.connector} {item.object} {item.entity_id} is {MOVING[item.state]}: {item.last_error}"
        if item.inflight:
            yield f"{item.connector} {item.object} {item.entity_id} has a call under way"
        if item.delivered_version != history.versions.get(item.entity_id):
            yield (
                f"{item.connector} {item.object} {item.entity_id} holds version {item.delivered_version}"
                f" of {history.versions.get(item.entity_id)}"
            )
    for name, holder in history.leases.items():
        if holder not in history.holders_alive:
            yield f"lease {name} is held by {holder}, which does not run"
    if history.changes_unsent:
        yield f"{history.changes_unsent} changes of identity were never sent"


def crm_as_desired(_: Journal, history: History) -> Iterator[str]:
    """Each CRM record shows what the policy makes of its entity, references included."""
    records = {(item.vendor, item.object, item.external_id): item for item in history.records}
    ids = {(item.connector, item.entity_id): item.crm_id for item in history.deliveries}
    for item in history.deliveries:
        target = history.targets[item.connector][item.object]
        record = records.get((item.connector, target.target, item.entity_id))
        if record is None:
            yield f"{item.connector} has no {item.object} {item.entity_id}"
            continue
        for name, value in history.desired(target, item.entity_id).items():
            if not same_value(record.fields.get(name), value):
                yield (
                    f"{item.connector} {item.object} {item.entity_id}:"
                    f" {name} is {record.fields.get(name)!r}, desired {value!r}"
                )
        for name, wanted in _references(target, history, item.entity_id):
            shown = record.links.get(name) or {str(record.fields.get(name))}
            expected = {ids.get((item.connector, entity_id), "") for entity_id in wanted}
            if expected and not _refers(shown, expected, target, name):
                yield f"{item.connector} {item.object} {item.entity_id}: {name} is {shown}, desired {expected}"


def _references(
    target: OutboundObject, history: History, entity_id: str
) -> Iterator[tuple[str, Sequence[str]]]:
    for name, field in target.references.items():
        yield name, history.references.get((entity_id, field), ())


def _refers(shown: set[str], expected: set[str], target: OutboundObject, name: str) -> bool:
    """Return whether all are shown; a CRM field has room for one alone, an association for all."""
    single = name.endswith("Id") and target.target[0].isupper()
    return shown <= expected if single else expected <= shown


def _by_record(arrivals: Iterable[Arrival]) -> dict[tuple[str, str, str], list[Arrival]]:
    found: dict[tuple[str, str, str], list[Arrival]] = {}
    for item in arrivals:
        if item.effect in EFFECTIVE:
            found.setdefault((item.vendor, item.object, item.record_id), []).append(item)
    return found


ORACLES: Final[tuple[tuple[str, Oracle], ...]] = (
    ("I1 log", nothing_lost),
    ("I1 projection", projected_once),
    ("I2 records", one_record_each),
    ("I2 effects", no_effect_twice),
    ("I3 order", in_order),
    ("I6 audit", audited),
    ("I9 convergence", converged),
    ("CRM state", crm_as_desired),
)

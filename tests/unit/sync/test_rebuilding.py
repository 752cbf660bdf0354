"""One entity made again from events: what projecting them made, whatever is stored; only what differs is written and told."""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.sync.tenant import TENANT, event, key, moment, policy

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, Position, RecordKey, bulk_side
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reading import Reading, RecordReading, read_event
from headwater.sync.domain.rebuilding import ACTION, DELETED, History, Rebuilt, is_projected, rebuild
from headwater.sync.domain.states import EntityState

POLICY = policy()
ADA, FIRM = key(101), key(102)
NOW = moment(9_000)
SITE, CRM, MAIL = (
    RecordKey(TENANT, "contact", "site", "1"),
    RecordKey(TENANT, "contact", "crm", "2"),
    RecordKey(TENANT, "contact", "mail", "ada@one.example"),
)
HOMES = {SITE: ADA, CRM: ADA, MAIL: ADA, RecordKey(TENANT, "account", "site", "a"): FIRM}


def story(chance: random.Random, count: int) -> list[LogEvent]:
    """Return events about Ada, out of order in time."""
    found = []
    for number in range(1, count + 1):
        at_s, first = float(chance.randrange(60)), chance.choice(["Ada", "Augusta"])
        match chance.randrange(5):
            case 0 | 1:
                said: dict[str, Any] = {"email": "ada@one.example", "first": first}
                said |= {"company": "a"} if chance.random() < 0.5 else {}
                found.append(event(number, at_s=at_s, **said))
            case 2:
                found.append(event(number, "crm", external_id="2", at_s=at_s, last=first, title="Countess"))
            case 3:
                deleted = event(
                    number, "crm", external_id="2", at_s=at_s, operation=OPERATION_DELETE, payload=b""
                )
                found.append(deleted)
            case _:
                people = [{"address": "ada@one.example", "name": first, "role": "to"}]
                mail: dict[str, Any] = {"subject": "s", "people": people}
                found.append(event(number, "mail", "activity", f"m{number % 3}", at_s=at_s, **mail))
    return found


def readings_of(events: Sequence[LogEvent]) -> list[Reading]:
    return [read_event(POLICY, item) for item in events]


def projected(events: Sequence[LogEvent]) -> Workspace:
    """Return what projecting the events one by one makes."""
    workspace = Workspace({TENANT: POLICY})
    for reading in readings_of(events):
        assert isinstance(reading, RecordReading)
        homes = {
            item.key: HOMES.get(item.key, uuid.uuid5(ADA, item.key.external_id)) for item in reading.subjects
        }
        workspace.apply_record(reading, homes)
    return workspace


def stored(workspace: Workspace, events: Sequence[LogEvent]) -> History:
    """Return Ada as she is stored, with her history."""
    place = (TENANT, ADA)
    entity = copy.deepcopy(workspace.entities[place])
    refers = frozenset((name, target) for _, _, name, target in workspace.references(entity))
    members = [copy.deepcopy(item) for item in workspace.members[place].values()]
    return History(entity, members, refers, events, 0)


def again(history: History) -> Rebuilt:
    """Make Ada again."""
    entity = history.entity or EntityState(TENANT, ADA, "contact")
    return rebuild(POLICY, entity, history, readings_of(history.events), HOMES, "user:me", NOW)


@given(st.randoms(use_true_random=False), st.integers(1, 25))
def test_it_comes_out_as_it_was_projected(chance: random.Random, count: int) -> None:
    """Of what is as its history made it nothing is written, and no CRM hears of it."""
    events = [event(0, at_s=0.0, email="ada@one.example"), *story(chance, count)]
    rebuilt = again(stored(projected(events), events))
    assert (rebuilt.records, rebuilt.changed, rebuilt.missing) == ((), False, ())
    assert rebuilt.workspace.marks == {}
    assert [note.action for note in rebuilt.workspace.audit] == [ACTION]


@given(st.randoms(use_true_random=False), st.integers(1, 25))
def test_damage_does_not_show_in_what_comes_out(chance: random.Random, count: int) -> None:
    """Fields lost or changed, a wrong state: records and entity are those that projecting made."""
    events = [event(0, at_s=0.0, email="ada@one.example"), *story(chance, count)]
    whole = projected(events)
    history = stored(whole, events)
    assert history.entity is not None
    for item in history.members:
        if chance.random() < 0.5:
            item.fields = {}
    history.entity.fields = {} if chance.random() < 0.5 else history.entity.fields
    history.entity.state = chance.choice(["active", "deleted"])
    rebuilt = again(history)
    made = rebuilt.workspace
    assert made.entities[(TENANT, ADA)].fields == whole.entities[(TENANT, ADA)].fields
    assert made.entities[(TENANT, ADA)].state == whole.entities[(TENANT, ADA)].state
    for item in made.members[(TENANT, ADA)].values():
        before = whole.records[item.key]
        assert (item.fields, item.deleted, item.delete_time) == (
            before.fields, before.deleted, before.delete_time,
        )  # fmt: skip


def test_crms_hear_of_values_that_changed_behind_live_traffic() -> None:
    """A healed value is a new version, in the backfill lane, as of now; the audit names who had it made."""
    events = [event(1, email="ada@one.example", title="Countess")]
    history = stored(projected(events), events)
    assert history.entity is not None
    title = history.entity.fields["title"]
    history.entity.fields["title"] = structs.replace(title, value="Nobody")
    rebuilt = again(history)
    (mark,) = [item for item in rebuilt.workspace.marks.values() if item.connector == "salesforce"]
    assert (mark.version, mark.lane, mark.event.record_time) == (2, Lane.BACKFILL, NOW)
    (note,) = rebuilt.workspace.audit
    assert (note.actor, [item["field"] for item in note.changes]) == ("user:me", ["#records", "title"])


def test_another_provenance_alone_tells_no_crm() -> None:
    """The value is the same: it is written where it comes from, and nothing is due."""
    events = [event(1, email="ada@one.example")]
    history = stored(projected(events), events)
    assert history.entity is not None
    email = history.entity.fields["email"]
    history.entity.fields["email"] = structs.replace(email, event_key=key(77))
    rebuilt = again(history)
    assert (rebuilt.changed, rebuilt.changes, rebuilt.workspace.marks) == (True, (), {})


def test_what_the_log_does_not_hold_is_named() -> None:
    """A value whose event is not there, and a deletion: their days may be archived."""
    gone = event(3, "crm", external_id="2", at_s=3.0, operation=OPERATION_DELETE, payload=b"")
    events = [event(1, email="ada@one.example"), event(2, "crm", external_id="2", at_s=2.0, title="Dr"), gone]
    history = stored(projected(events), events)
    rebuilt = again(with_events(history, events[:1]))
    assert [(item.record, item.field) for item in rebuilt.missing] == [(CRM, "title"), (CRM, DELETED)]


def with_events(history: History, events: Sequence[LogEvent]) -> History:
    """Return *history* with other events."""
    return History(history.entity, history.members, history.references, events, history.suppressions)


def test_lost_references_count_as_a_change() -> None:
    """The values are right, what is stored beside them for look-ups is not."""
    events = [event(1, email="ada@one.example", company="a")]
    history = stored(projected(events), events)
    assert history.references == {("account", FIRM)}
    lost = History(history.entity, history.members, frozenset(), events, 0)
    assert (again(lost).references, again(lost).changed, again(lost).records) == (True, True, ())


@pytest.mark.parametrize(("position", "counts"), [(4, True), (5, True), (6, False)])
@pytest.mark.parametrize("bulk", [False, True])
def test_an_event_counts_once_its_side_of_the_shard_is_past_it(
    position: int, *, bulk: bool, counts: bool
) -> None:
    """Live and bulk events of a shard are projected up to two different places."""
    one = structs.replace(event(position), position=Position(1, position))
    if bulk:
        trace = TraceContext.parse(f"00-{'1' * 32}-{'2' * 16}-01", "headwater=backfill")
        one = structs.replace(one, trace=trace)
    ahead, here = Position(1, 99) if not counts else Position(0, 1), Position(1, 5)
    cursors = {bulk_side(0): here, 0: ahead} if bulk else {bulk_side(0): ahead, 0: here}
    assert one.is_bulk is bulk
    assert is_projected(one, cursors) is counts

"""Two CRMs, a form, a provider and mail contradict each other: whatever comes first, both CRMs end alike.

The example of the requirements: Salesforce owns the company's name, HubSpot the lead score, the phone comes from the
form until a rep has verified one, the title from enrichment, the last activity from engagement.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from tests.unit.policy.two_crms import ENDS, FIELDS, NOON, SAYINGS, SOURCES, two_crms

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.document import PolicyDocument
from headwater.policy.outbound import desired_fields
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, Position
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reading import IdentityReading, RecordReading, read_event

TENANT = "acme"
POLICY = two_crms()
PERSON, OTHER = uuid.UUID(int=7), uuid.UUID(int=8)
HISTORIES = 500


def stated(source: str, external_id: str, at_s: float, *, operation: int = 1, **fields: Any) -> LogEvent:
    """Return what a source says of the person, *at_s* seconds after noon."""
    when, body = NOON + dt.timedelta(seconds=at_s), msgspec.json.encode(fields)
    name = f"{source}/{external_id}/{at_s}/{operation}/{body!r}"
    key = uuid.uuid5(uuid.NAMESPACE_URL, name)
    return LogEvent(
        TENANT, key, source, "contact", external_id, when, when, operation, "operator-1", body, None, 0, Position(1, 1)
    )  # fmt: skip


CONFLICT = tuple(
    stated(source, external_id, at_s, email="dana@acme.example", first="Dana", last="Lindqvist", **fields)
    for source, external_id, at_s, fields in SAYINGS
)


def projected(policy: PolicyDocument, events: Sequence[LogEvent]) -> Workspace:
    """Return what the projector makes of *events*, in their order."""
    workspace = Workspace({TENANT: policy})
    for item in events:
        reading = read_event(policy, item)
        assert isinstance(reading, RecordReading), reading
        workspace.apply_record(reading, {one.key: PERSON for one in reading.subjects})
    return workspace


def values(workspace: Workspace) -> dict[str, Any]:
    """Return the values of the person."""
    return {name: chosen.value for name, chosen in workspace.entities[TENANT, PERSON].fields.items()}


def in_both_crms(workspace: Workspace) -> dict[str, Mapping[str, Any]]:
    """Return what each CRM is to hold of the person."""
    shown = values(workspace)
    return {
        name: desired_fields(connector.written["contact"][0], shown)
        for name, connector in POLICY.connectors.items()
    }


def state(workspace: Workspace) -> tuple[Any, ...]:
    """Return everything about the person that no order of events may change."""
    person = workspace.entities[TENANT, PERSON]
    return person.fields, person.state, in_both_crms(workspace)


def test_every_order_of_the_conflict_ends_alike() -> None:
    """All 720: each field is its owner's, the verified number stands, the address is one record's."""
    wanted = state(projected(POLICY, CONFLICT))
    orders = list(itertools.permutations(CONFLICT))
    assert len(orders) == 720
    for order in orders:
        ended = projected(POLICY, order)
        assert values(ended) == ENDS
        assert state(ended) == wanted


def test_both_crms_show_the_owners_values() -> None:
    """The mapping of the one state, in each CRM's words."""
    held = in_both_crms(projected(POLICY, CONFLICT))
    assert held["hubspot"] == {
        "email": "dana@acme.example", "company": "Acme GmbH", "phone": "+49 30 9999999", "jobtitle": "VP Sales",
        "message": "2026-03-01T11:59:00Z", "address": "Main St 5", "city": "Springfield",
    }  # fmt: skip
    assert held["salesforce"]["Department"] == "Acme GmbH"
    assert held["salesforce"]["AssistantName"] == "85"
    assert held["salesforce"]["Phone"] == "+49 30 9999999"


def _entity(workspace: Workspace, entity_id: uuid.UUID) -> tuple[Any, ...]:
    held = workspace.entities[TENANT, entity_id]
    return held.fields, held.state


@pytest.mark.parametrize("seed", range(40))
def test_a_split_undoes_a_merge(seed: int) -> None:
    """Two people with histories of their own, merged and split again: each shows what it showed before."""
    chance = random.Random(seed)
    homes = {item.record_key: chance.choice([PERSON, OTHER]) for item in history(seed) if not _is_pin(item)}
    workspace = Workspace({TENANT: POLICY})
    for item in history(seed):
        reading = read_event(POLICY, item)
        assert isinstance(reading, RecordReading)
        home = homes.get(item.record_key, PERSON)
        workspace.apply_record(reading, {one.key: home for one in reading.subjects})
    people = [one for one in (PERSON, OTHER) if (TENANT, one) in workspace.entities]
    before = {one: _entity(workspace, one) for one in people}
    moved = tuple(key for key, home in homes.items() if home == OTHER)
    for seq, change in ((1, "merged"), (2, "split")):
        told = IdentityReading(CONFLICT[0], change, PERSON, OTHER, "contact", moved, OTHER, seq)
        workspace.apply_identity(told)
        if change == "merged" and len(people) > 1:
            whole = values(workspace)
            assert {name for one in people for name in before[one][0]} - {"street", "city"} <= set(whole)
    assert {one: _entity(workspace, one) for one in people} == before


def _is_pin(event: LogEvent) -> bool:
    return event.source == OPERATOR_SOURCE


def _value(field: str, chance: random.Random) -> Any:
    if field in {"score", "phone_verified"}:
        return chance.choice([True, False, None]) if field == "phone_verified" else chance.randrange(100)
    if field == "email":
        return chance.choice(["dana@acme.example", "d@acme.example", None])
    if field == "phone":
        return chance.choice(["+49 30 1111111", "+1 212 555 0100", None])
    return (
        f"2026-03-0{chance.randrange(1, 9)}T10:00:00Z" if field == "last_activity" else chance.choice("abc")
    )


def history(seed: int) -> list[LogEvent]:
    """Return a history of up to thirty statements, corrections and deletions, drawn from *seed*."""
    chance = random.Random(seed)
    events = []
    for number in range(chance.randrange(6, 31)):
        source = chance.choice([item for item in SOURCES if item != "stranger"])
        at_s = chance.randrange(40) + number / 1000
        external_id = f"{source}-{chance.randrange(2)}"
        die = chance.random()
        if die < 0.1:
            events.append(stated(source, external_id, at_s, operation=OPERATION_DELETE))
        elif die < 0.2:
            events.append(
                stated(OPERATOR_SOURCE, str(PERSON), at_s, nickname=chance.choice(["x", "y", None]),
                       phone=_value("phone", chance))
            )  # fmt: skip
        else:
            inbound = POLICY.systems[source].inbound["contact"]
            paths = chance.sample(sorted(inbound.fields), chance.randrange(1, len(inbound.fields) + 1))
            events.append(stated(source, external_id, at_s, **{path: _value(path, chance) for path in paths}))
    if all(item.source == OPERATOR_SOURCE for item in events):
        events.append(stated("hubspot", "hubspot-0", 1, email="dana@acme.example"))
    return events


@pytest.mark.parametrize("first", range(0, HISTORIES, 50))
def test_random_histories_end_alike_in_every_order(first: int) -> None:
    """Five hundred, each in four orders and once with every event said twice."""
    for seed in range(first, first + 50):
        events = history(seed)
        chance = random.Random(seed + HISTORIES)
        wanted = state(projected(POLICY, events))
        orders = [events[::-1], *(chance.sample(events, len(events)) for _ in range(3)), [*events, *events]]
        for order in orders:
            assert state(projected(POLICY, order)) == wanted, f"seed {seed}"


def test_random_histories_reach_every_field_and_lock() -> None:
    """The histories decide something: every field has a value in some, some are locked, some corrected."""
    ends = [projected(POLICY, history(seed)).entities[TENANT, PERSON] for seed in range(100)]
    assert {*FIELDS, "phone_verified"} <= {name for item in ends for name in item.fields}
    assert {"locked", "operator"} <= {chosen.rule for item in ends for chosen in item.fields.values()}

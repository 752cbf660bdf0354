"""Sending the same events again changes nothing, anywhere."""

from __future__ import annotations

import csv
import datetime as dt
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tests.system.shared import SHARED
from tests.system.tenant import EPOCH, Tenant, event
from tests.system.world import World

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

EVENTS = 2_000
FIELDS = ("email", "first_name", "last_name", "phone", "title")
ENTITIES = "select * from sync.entity where tenant_id = $1 order by entity_id"
PROJECTIONS = "select * from sync.projection where tenant_id = $1 order by event_key"


@dataclass(frozen=True, slots=True)
class Story:
    """Outcomes of both sendings, and everything there is after each."""

    tenant: Tenant
    outcomes: tuple[list[ingest_pb2.EventOutcome], ...]
    states: tuple[dict[str, Any], ...]


def _events() -> list[event_pb2.Event]:
    path = SHARED / "data" / "er" / "crm_synth_dev" / "records.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [_event(row) for row in islice(csv.DictReader(file), EVENTS)]


def _event(row: dict[str, str]) -> event_pb2.Event:
    changed = dt.datetime.fromisoformat(row["updated_at"]).replace(tzinfo=dt.UTC)
    after_s = min(0.0, (changed - EPOCH).total_seconds())
    payload = {name: row[name] for name in FIELDS if row[name]}
    return event(
        "erp" if row["source"] == "billing" else "shop", "contact", row["rec_id"], after_s, **payload
    )


def _everything(tenant: Tenant) -> dict[str, Any]:
    kinds = {"hubspot": "contacts", "salesforce": "Contact"}
    return {
        "entities": [dict(row) for row in tenant.world.fetch(ENTITIES, tenant.id)],
        "projections": [dict(row) for row in tenant.world.fetch(PROJECTIONS, tenant.id)],
        "deliveries": tenant.deliveries(),
        "records": {vendor: tenant.records(vendor, kind) for vendor, kind in kinds.items()},
        "arrivals": {vendor: tenant.arrivals(vendor) for vendor in kinds},
    }


@pytest.fixture(scope="module")
def story(world: World) -> Story:
    """Two thousand real-looking rows, sent, settled, sent again, settled."""
    tenant = world.tenant()
    events = _events()
    outcomes, states = [], []
    for _ in range(2):
        outcomes.append(tenant.record(events))
        tenant.wait_until_settled(45)
        states.append(_everything(tenant))
    return Story(tenant, tuple(outcomes), tuple(states))


def test_the_second_sending_is_all_duplicates_of_the_same_keys(story: Story) -> None:
    """Every event is a duplicate and bears the key of its first sending."""
    first, second = story.outcomes
    assert Counter(item.disposition for item in second) == {ingest_pb2.DISPOSITION_DUPLICATE: EVENTS}
    assert [item.event_key for item in second] == [item.event_key for item in first]
    assert len({item.event_key for item in first}) == EVENTS


@pytest.mark.parametrize("what", ["entities", "projections", "deliveries", "records", "arrivals"])
def test_the_second_sending_changes_nothing(story: Story, what: str) -> None:
    """What there was after the first sending is there after the second, row for row."""
    first, second = story.states
    assert first[what]
    assert second[what] == first[what]


def test_people_of_several_sources_are_fewer_than_their_records(story: Story) -> None:
    """The rows hold duplicates, so there are fewer entities than events, and each is in both CRMs once."""
    entities = [row for row in story.states[0]["entities"] if row["state"] == "active"]
    assert 0 < len(entities) < EVENTS
    delivered = Counter(item.connector for item in story.states[0]["deliveries"] if item.crm_id)
    for vendor, records in story.states[0]["records"].items():
        assert len(records) == delivered[vendor] > 0


def test_a_request_id_with_another_payload_is_refused(story: Story) -> None:
    """The unary call fails with ALREADY_EXISTS and names PAYLOAD_CONFLICT; the batch refuses that event alone."""
    given = event("erp", "contact", "c-1", email="one@person.example")
    given.request_id = "order-4711"
    other = event("erp", "contact", "c-1", email="two@person.example")
    other.request_id = given.request_id
    assert story.tenant.record_one(given).disposition == ingest_pb2.DISPOSITION_ACCEPTED
    with pytest.raises(grpc.RpcError) as caught:
        story.tenant.record_one(other)
    status = rpc_status.from_call(caught.value)
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert info.reason == "PAYLOAD_CONFLICT"
    again, refused = story.tenant.record([given, other])
    assert again.disposition == ingest_pb2.DISPOSITION_DUPLICATE
    assert (refused.disposition, refused.reason) == (ingest_pb2.DISPOSITION_REFUSED, "PAYLOAD_CONFLICT")

"""What a CloudEvent says in our words: by extension, by policy, by default."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.ingest.domain.cloud_event import CloudEvent, read_cloud_events
from headwater.ingest.domain.event import Arrival
from headwater.policy.loading import load_policy

NOW_US = 1_760_000_000_000_000
POLICY = load_policy("""\
format: headwater/v1
version: "1"
systems:
  webshop:
    layer: record
    owner: shop team
    backup: crm team
    runbook: docs/webshop
    inbound:
      contact:
        fields: {email: email}
    cloud_events:
      sources: [/shop]
      types:
        person.left: {object: contact, operation: delete}
objects:
  contact:
    fields:
      email: {type: email, owners: [webshop], rule: most_recent}
""")


def _read(**attributes: Any) -> Arrival:
    given = {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "com.shop.contact.changed",
        **attributes,
    }
    return read_cloud_events(POLICY, [CloudEvent(given, b'{"a":1}')], NOW_US).arrivals[0]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, ("webshop", "contact", 1)),
        ({"type": "person.left"}, ("webshop", "contact", 2)),
        ({"type": "com.shop.deal.deleted"}, ("webshop", "deal", 2)),
        ({"type": "what.ever"}, ("webshop", "what.ever", 1)),
        ({"source": "crm_sales"}, ("crm_sales", "contact", 1)),
        ({"headwatersource": "other", "headwaterobject": "deal"}, ("other", "deal", 1)),
        ({"headwatersource": "webshop", "source": "/x", "type": "person.left"}, ("webshop", "contact", 2)),
        ({"headwateroperation": "DELETE"}, ("webshop", "contact", 2)),
        ({"headwateroperation": "merge"}, ("webshop", "contact", -1)),
    ],
)
def test_source_object_and_operation(attributes: dict[str, str], said: tuple[str, str, int]) -> None:
    """Extension first, then the policy, then the type's parts; what is unknown is left to be refused."""
    read = _read(**attributes)
    assert (read.source, read.object, read.operation) == said


def test_ids_time_and_trace() -> None:
    """subject, id, time and the tracing extension."""
    read = _read(subject="c-1", time="2026-01-31T12:00:00Z", traceparent="00-a", headwatersourceversion="v2")
    assert (read.external_id, read.request_id, read.source_version) == ("c-1", "1", "v2")
    assert (read.event_time_us, read.traceparent) == (1_769_860_800_000_000, "00-a")
    assert _read(subject="c-1", headwaterexternalid="x").external_id == "x"


def test_a_deletion_has_no_payload() -> None:
    """Its data says nothing that the log keeps."""
    assert _read(type="person.left").payload == b""
    assert _read().payload == b'{"a":1}'

"""The load's messages are what the protos say, made by hand."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.load.ingest import facts

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.policy.checks import check
from headwater.policy.loading import load_policy

NOW_NS = 1_795_000_000_123_456_789


@given(first=st.integers(0, 9_000_000_000), count=st.integers(1, 300), now_ns=st.integers(10**18, 4 * 10**18))
def test_request_is_read_back_as_its_events(first: int, count: int, now_ns: int) -> None:
    """The protobuf runtime finds every event with its own external id, and the time to the microsecond."""
    numbers = range(first, first + count)
    raw = facts.Messages("run").request(numbers, now_ns, sampled=False)
    request = ingest_pb2.BatchRecordEventsRequest.FromString(raw)
    assert request.tenant_id == facts.TENANT
    assert [one.external_id for one in request.events] == [f"run-{number:010d}" for number in numbers]
    assert {one.event_time.ToMicroseconds() for one in request.events} == {now_ns // 1_000}
    assert request.events[0].payload == facts.payload(first % facts.VARIANTS)


def test_request_of_one_event_is_a_unary_request_too() -> None:
    """Both requests have tenant and event under the same numbers."""
    raw = facts.Messages("run").request([7], NOW_NS, sampled=True)
    request = ingest_pb2.RecordEventRequest.FromString(raw)
    assert request.event.external_id == "run-0000000007"
    assert request.event.trace.traceparent.endswith("-01")


@pytest.mark.parametrize("batch_number", [1, 127, 128, 70_000])
def test_stream_message_keeps_its_number(batch_number: int) -> None:
    """Numbers above one byte are varints."""
    raw = facts.Messages("run").message(batch_number, range(3), NOW_NS, sampled=False)
    message = ingest_pb2.StreamEventsRequest.FromString(raw)
    assert (message.batch_number, len(message.events)) == (batch_number, 3)


def test_versions_share_a_record() -> None:
    """With four versions a record, event 9 is the second version of record 2."""
    raw = facts.Messages("run", 4).request([9], NOW_NS, sampled=False)
    event = ingest_pb2.RecordEventRequest.FromString(raw).event
    assert (event.external_id, event.source_version) == ("run-0000000002", "v1")


def test_payloads_are_distinct_json_of_about_350_bytes() -> None:
    """What is measured is the size that the goals speak of."""
    payloads = {facts.payload(variant) for variant in range(facts.VARIANTS)}
    assert len(payloads) == facts.VARIANTS
    assert all(330 <= len(one) <= 370 and json.loads(one) for one in payloads)


def test_contract_is_a_policy_that_can_be_applied() -> None:
    """The contract holds types, a required field and a picklist, and nothing is wrong with it."""
    document = load_policy(json.loads(facts.policy().payload)["document"])
    assert not list(check(document))
    contract = document.objects["contact"].fields
    assert contract["email"].required
    assert contract["stage"].allowed


def test_rows_hold_the_same_facts_as_messages() -> None:
    """The raw limit writes what an event brings: same record, payload and trace."""
    (row,) = facts.rows("run", 1, dt.datetime.now(dt.UTC))
    raw = facts.Messages("run").request([0], NOW_NS, sampled=False)
    event: event_pb2.Event = ingest_pb2.RecordEventRequest.FromString(raw).event
    assert row[:4] == (facts.TENANT, event.source, event.object, event.external_id)
    assert event.payload in row
    assert event.trace.traceparent in row

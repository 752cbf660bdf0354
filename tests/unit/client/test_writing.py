"""The event builder."""

from __future__ import annotations

import datetime as dt

import pytest

from headwater.client.outcomes import Accepted, Quarantined, Refused, read_outcome
from headwater.client.writing import event
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import FieldViolation
from headwater.kernel.telemetry.context import TraceContext

_NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def test_the_same_values_give_the_same_bytes_whatever_their_order() -> None:
    """A payload is encoded canonically, so that sending it again is the same content."""
    one = event("crm", "contact", "1", {"b": 1, "a": "é"}, event_time=_NOON)
    two = event("crm", "contact", "1", {"a": "é", "b": 1}, event_time=_NOON)
    assert one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)


def test_the_time_is_told_in_utc() -> None:
    """A moment of another zone is the same moment."""
    assert (
        event("crm", "contact", "1", {}, event_time=_NOON).event_time.ToJsonString() == "2026-01-01T10:00:00Z"
    )


def test_no_payload_is_a_deletion() -> None:
    """Without a payload the event says that the record was deleted."""
    message = event("crm", "contact", "1", None, event_time=_NOON)
    assert (message.operation, message.payload) == (event_pb2.OPERATION_DELETE, b"")


def test_a_time_without_a_zone_is_refused() -> None:
    """Nobody guesses a zone."""
    with pytest.raises(ValueError, match="zone"):
        event("crm", "contact", "1", {}, event_time=_NOON.replace(tzinfo=None))


def test_the_producers_trace_travels_with_the_event() -> None:
    """The context given is stored with the event."""
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    message = event("crm", "contact", "1", {}, event_time=_NOON, trace=TraceContext(parent, "v=1"))
    assert (message.trace.traceparent, message.trace.tracestate) == (parent, "v=1")


def test_outcomes_are_read_as_values() -> None:
    """Each disposition becomes its own value, with violations and reason."""
    violation = event_pb2.Violation(field="f", value="v", rule="r", description="d")
    accepted = ingest_pb2.EventOutcome(disposition=ingest_pb2.DISPOSITION_ACCEPTED, event_key="k")
    held = ingest_pb2.EventOutcome(
        disposition=ingest_pb2.DISPOSITION_QUARANTINED, event_key="k", violations=[violation]
    )
    refused = ingest_pb2.EventOutcome(disposition=ingest_pb2.DISPOSITION_REFUSED, reason="MALFORMED")
    assert read_outcome(accepted) == Accepted("k")
    assert read_outcome(held) == Quarantined("k", (FieldViolation("f", "v", "r", "d"),))
    assert read_outcome(refused) == Refused("", "MALFORMED")

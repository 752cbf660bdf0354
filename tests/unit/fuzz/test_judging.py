"""The rules that answers are held to: each catches what breaks it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from grpc import StatusCode
from tests.fuzz.judging import Judge
from tests.fuzz.methods import INGEST, request_of
from tests.fuzz.policy import POLICY, TENANTS
from tests.fuzz.seen import Seen

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.policy.loading import load_policy

KEY = "018f2c3a-0000-7000-8000-000000000001"
EVENT = event_pb2.Event(source="shop", object="contact", external_id="x", payload=b'{"email":"a@b.co"}')
BATCH = request_of(
    INGEST["BatchRecordEvents"],
    ingest_pb2.BatchRecordEventsRequest(tenant_id=TENANTS[0], events=[EVENT, EVENT]).SerializeToString(),
)
GET = request_of(
    INGEST["GetEvent"],
    ingest_pb2.GetEventRequest(tenant_id=TENANTS[0], event_key=KEY).SerializeToString(),
)
UNDECODABLE = request_of(INGEST["GetEvent"], b"\xff")


def judge(**given: Any) -> Judge:
    return Judge(given.pop("seen", Seen()), load_policy(POLICY), **given)


def outcome(**given: Any) -> ingest_pb2.EventOutcome:
    return ingest_pb2.EventOutcome(**{"disposition": 1, "event_key": KEY, **given})


def answer(*outcomes: ingest_pb2.EventOutcome) -> ingest_pb2.BatchRecordEventsResponse:
    return ingest_pb2.BatchRecordEventsResponse(outcomes=outcomes)


def test_an_answer_that_keeps_the_contract_is_no_finding() -> None:
    """One outcome per event, keys that are UUIDs, a reason with a refusal."""
    broken = event_pb2.Violation(field="event", rule="same_content")
    told = answer(outcome(), outcome(disposition=4, reason="PAYLOAD_CONFLICT", violations=[broken]))
    assert judge().answered(BATCH, told) == ""


@pytest.mark.parametrize(
    ("told", "breach"),
    [
        (answer(outcome()), "2 events, 1 outcomes"),
        (answer(outcome(), outcome(), outcome()), "2 events, 3 outcomes"),
        (answer(outcome(), outcome(disposition=0)), "outcome without disposition"),
        (answer(outcome(), outcome(event_key="")), "is no UUID"),
        (answer(outcome(), outcome(event_key=KEY.upper())), "is no UUID"),
        (answer(outcome(), outcome(disposition=3)), "quarantined without a violation"),
        (answer(outcome(), outcome(disposition=4, event_key="")), "refused without a reason"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_found(told: Any, breach: str) -> None:
    """Each rule of outcomes is held."""
    assert breach in judge().answered(BATCH, told)


def test_an_accepted_event_on_which_the_projection_fails_is_found() -> None:
    """What passed the door must be readable for the projector."""

    def fail(*_: Any) -> Any:
        raise RecursionError("too deep")

    assert "projection raises RecursionError" in judge(project=fail).answered(
        BATCH, answer(outcome(), outcome())
    )


@pytest.mark.parametrize(
    "code",
    [StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED],
)
def test_a_status_that_may_not_be_is_found(code: StatusCode) -> None:
    """INTERNAL, UNKNOWN and no answer in time are findings."""
    assert judge().failed(BATCH, code, "x").startswith(code.name)


def test_a_call_with_hardly_any_time_may_be_late_but_not_internal() -> None:
    """Haste excuses lateness alone."""
    assert judge().failed(BATCH, StatusCode.DEADLINE_EXCEEDED, "x", hasty=True) == ""
    assert judge().failed(BATCH, StatusCode.INTERNAL, "x", hasty=True)


def test_undecodable_bytes_must_be_the_callers_fault() -> None:
    """Anything but INVALID_ARGUMENT for bytes that are no message is a finding."""
    assert judge().failed(UNDECODABLE, StatusCode.INVALID_ARGUMENT, "x") == ""
    assert "undecodable" in judge().failed(UNDECODABLE, StatusCode.NOT_FOUND, "x")
    assert "undecodable" in judge().answered(UNDECODABLE, ingest_pb2.GetEventResponse())


def test_an_acknowledged_event_that_is_not_found_is_found() -> None:
    """NOT_FOUND is right for a key nobody was told of, and a loss for one that was acknowledged."""
    seen = Seen()
    assert judge(seen=seen).missing(GET, StatusCode.NOT_FOUND) == ""
    seen.note(TENANTS[0], KEY, quarantined=False)
    assert "acknowledged and is not found" in judge(seen=seen).missing(GET, StatusCode.NOT_FOUND)


def test_an_event_of_another_tenant_is_found() -> None:
    """GetEvent may answer with the tenant's own events only."""
    other = ingest_pb2.RecordedEvent(event_key=KEY, tenant_id=TENANTS[1])
    assert "answered an event of" in judge().answered(GET, ingest_pb2.GetEventResponse(event=other))


def test_what_is_acknowledged_is_remembered() -> None:
    """Keys of outcomes are asked for later."""
    seen = Seen()
    judge(seen=seen).answered(BATCH, answer(outcome(), outcome(event_key=str(uuid.UUID(int=7)))))
    assert seen.knows(TENANTS[0], KEY)
    assert len(seen.keys[TENANTS[0]]) == 2

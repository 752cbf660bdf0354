"""A second attempt is a trace of its own that leads back to the event and to the attempt before."""

from __future__ import annotations

import pytest
from tests.system.graphs import named, roles
from tests.system.tenant import CRM_WRITES, event
from tests.system.world import World

from headwater.console.model import StoredSpan
from headwater.sync.v1 import sync_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

Attempts = list[sync_pb2.Attempt]


@pytest.fixture(scope="module")
def attempts(world: World) -> Attempts:
    """Attempts at HubSpot of a contact whose first write met a server error, and Salesforce's behind them."""
    tenant = world.tenant()
    tenant.arm("hubspot", {"kind": "error_5xx", "count": 1, "path": CRM_WRITES["hubspot"]})
    outcome = tenant.record_one(event("erp", "contact", "c-1", email="retry@person.example"))
    tenant.wait_until_settled()
    return sorted(tenant.fate(outcome.event_key).attempts, key=lambda item: item.connector)


def _span(world: World, attempt: sync_pb2.Attempt) -> StoredSpan:
    def found() -> list[StoredSpan]:
        spans = named(world.spans_of(attempt.trace_id), "process headwater.deliveries")
        return [span for span in spans if span.span_id == attempt.span_id]

    world.until(lambda: bool(found()), f"the span {attempt.span_id} is exported")
    return found()[0]


def test_the_fate_names_both_attempts_and_their_traces(attempts: Attempts) -> None:
    """The failed attempt and the one that delivered have different traces; the other CRM needed one."""
    told = [(item.connector, item.attempt_number, item.outcome, item.error_class) for item in attempts]
    assert told == [
        ("hubspot", 1, "failed", "server"),
        ("hubspot", 2, "created", ""),
        ("salesforce", 1, "created", ""),
    ]
    assert attempts[0].trace_id == attempts[2].trace_id
    assert attempts[0].trace_id != attempts[1].trace_id


def test_the_retry_is_a_root_that_links_to_creation_and_to_the_attempt_before(
    world: World, attempts: Attempts
) -> None:
    """The second attempt has no parent; its links lead to the first and to what asked for both."""
    first, second = _span(world, attempts[0]), _span(world, attempts[1])
    assert second.parent_span_id is None
    assert roles(second) == {
        "creation": roles(first)["creation"],
        "previous_attempt": (first.trace_id, first.span_id),
    }
    assert second.attributes["headwater.relation"] == "retry"


def test_a_failed_attempts_span_says_so(world: World, attempts: Attempts) -> None:
    """The span of the failed attempt is an error of the attempt's class; the next one tells its success."""
    first, second = _span(world, attempts[0]), _span(world, attempts[1])
    assert (first.status, first.attributes["error.type"]) == ("ERROR", "server")
    assert first.attributes["headwater.outcome"] == "failed"
    assert (second.status, second.attributes["headwater.outcome"]) == ("UNSET", "created")

"""Settlements as the columns that Postgres is sent: in which order, and which of them are left out."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON, key

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.store.turns import settlement_columns

COLUMNS: Final = (
    "entity_id", "object", "state", "lane", "version", "crm_object", "crm_id", "known", "failure_count", "try_count",
    "after_s", "waits", "lacks_reference", "fresh", "outcome", "attempt_number", "event_key", "start_time",
    "dirty_time", "trace_id", "span_id", "traceparent", "error_class", "error_code", "error_message", "http_status",
    "learned", "action", "changes", "policy_version", "verdict", "audited",
)  # fmt: skip
"""As `sync.settlements` has them."""
HELD: Final = {"crm_object": "Contact", "crm_id": "0031", "delivered_version": 2}
TRACE: Final = TraceContext("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
FAILED: Final[dict[str, Any]] = {
    "state": State.RETRYING, "outcome": "failed", "failure_count": 1, "try_count": 2, "after_s": 4.0, "trace": TRACE,
    "error_class": "server", "error_code": "503" * 100, "error_message": "down" * 200, "http_status": 503,
}  # fmt: skip


def settled(number: int, taken: dict[str, Any] | None = None, **changed: Any) -> Settlement:
    """Return how a try of entity *number* ended: well, with nothing to tell, unless told otherwise."""
    item = claimed(**{**HELD, "entity_id": key(number), "event_key": key(100 + number), **(taken or {})})
    fields: dict[str, Any] = {
        "claimed": item, "state": State.DELIVERED, "version": item.version, "crm_object": "Contact",
        "crm_id": "0031", "known": item.known, "failure_count": 0, "try_count": 0, "start_time": NOON,
        "outcome": "updated", "lane": item.lane, "policy_version": "7",
    }  # fmt: skip
    return Settlement(**{**fields, **changed})


def columns(*items: Settlement) -> dict[str, list[Any]]:
    """Return the columns of *items* that are not left out, by name."""
    found = zip(COLUMNS, settlement_columns(items), strict=True)
    return {name: list(column) for name, column in found if len(column)}


def test_rows_stand_in_the_order_of_entities() -> None:
    """As the projector locks them, whatever order the tries ended in."""
    found = columns(settled(3, version=5), settled(1, version=6), settled(2, version=7))
    assert found["entity_id"] == [key(1), key(2), key(3)]
    assert found["event_key"] == [key(101), key(102), key(103)]
    assert found["version"] == [6, 7, 5]


def test_what_is_alike_is_sent_once_and_what_is_as_usual_not_at_all() -> None:
    """A batch of plain changes is little more than its keys."""
    found = columns(settled(1), settled(2))
    assert found == {
        "entity_id": [key(1), key(2)],
        "object": ["contact"],
        "state": [State.DELIVERED],
        "lane": [settled(1).lane],
        "version": [3],
        "outcome": ["updated"],
        "attempt_number": [1],
        "event_key": [key(101), key(102)],
        "start_time": [NOON],
        "dirty_time": [NOON, NOON],
        "policy_version": ["7"],
    }


def test_one_row_that_differs_brings_the_whole_column() -> None:
    """Nulls stand for the others; texts are cut to what is stored."""
    found = columns(settled(2, **FAILED), settled(1))
    assert found["state"] == [State.DELIVERED, State.RETRYING]
    assert found["failure_count"] == [None, 1]
    assert found["attempt_number"] == [1, 2]
    assert found["dirty_time"] == [NOON, None]
    assert found["traceparent"] == [None, TRACE.traceparent]
    assert found["http_status"] == [None, 503]
    assert [len(text or "") for text in found["error_code"]] == [0, 128]
    assert [len(text or "") for text in found["error_message"]] == [0, 512]


@pytest.mark.parametrize(
    ("taken", "changed", "name", "value"),
    [
        ({}, {"known": {"a": 1}}, "known", '{"a":1}'),
        ({}, {"crm_id": "0032"}, "crm_id", "0032"),
        ({}, {"crm_object": "Lead"}, "crm_object", "Lead"),
        ({"verdict": "applied"}, {}, "crm_id", "0031"),
        ({"verdict": "applied"}, {}, "verdict", "applied"),
        ({"crm_id": ""}, {}, "fresh", True),
        ({}, {"created": True}, "fresh", True),
        ({}, {"state": State.DEAD, "outcome": "failed"}, "action", "dead_lettered"),
        ({}, {"changes": ({"field": "a"},)}, "changes", '[{"field":"a"}]'),
        ({}, {"changes": ({"field": "a"},)}, "audited", True),
        ({}, {"trace": TRACE}, "trace_id", "a" * 32),
    ],
)
def test_what_a_try_changed_is_sent(
    taken: dict[str, Any], changed: dict[str, Any], name: str, value: Any
) -> None:
    """Each by its own column."""
    assert columns(settled(1, taken, **changed))[name] == [value]


@pytest.mark.parametrize(
    ("taken", "changed"),
    [
        ({}, {"changes": ()}),
        ({}, {"changes": ({"field": "a"},), "outcome": "failed"}),
        ({}, {"changes": ({"field": "a"},), "state": State.RETRYING}),
        ({"verdict": "applied"}, {"changes": ({"field": "a"},)}),
    ],
)
def test_a_try_has_an_attempt_of_its_own_where_the_audit_cannot_stand_for_it(
    taken: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Only what was written, and nothing but that, is one entry of both."""
    assert "audited" not in columns(settled(1, taken, **changed))


def test_nothing_settled_is_nothing_sent() -> None:
    """All columns are there, and empty."""
    assert settlement_columns([]) == ((),) * len(COLUMNS)

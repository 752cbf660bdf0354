"""The form of events: every broken rule is listed at once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.ingest.arrivals import NOW_US, arrival

from headwater.ingest.domain.envelope import PAYLOAD_BYTES_MAX, WellFormed, check_tenant, read_envelope
from headwater.ingest.domain.event import Actor
from headwater.kernel.errors import FieldViolation

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _read(**fields: Any) -> WellFormed | tuple[FieldViolation, ...]:
    return read_envelope(arrival(**fields), now_us=NOW_US, skew_s=300)


def _rules(**fields: Any) -> set[tuple[str, str]]:
    read = _read(**fields)
    return set() if isinstance(read, WellFormed) else {(item.field, item.rule) for item in read}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"operation": 0},
        {"operation": 2, "payload": b""},
        {"event_time_us": NOW_US + 300_000_000},
        {"event_time_us": 0},
        {"external_id": "ü" * 255, "source_version": "v" * 255, "request_id": "r" * 128},
        {"actor": Actor(3, "i" * 255, "n" * 255)},
        {"traceparent": TRACE, "tracestate": "a=b"},
        {"payload": b"{" + b" " * (PAYLOAD_BYTES_MAX - 2) + b"}"},
        {"source": "headwater", "object": "identity"},
        {"payload": {"literal": "\\u0000"}},
    ],
)
def test_what_the_contract_allows_is_well_formed(fields: dict[str, Any]) -> None:
    """The limits themselves are inside."""
    assert _rules(**fields) == set()


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"source": ""}, "source", "pattern"),
        ({"source": "1shop"}, "source", "pattern"),
        ({"source": "a" * 64}, "source", "pattern"),
        ({"object": "person"}, "object", "allowed"),
        ({"object": "policy"}, "object", "own_object"),
        (
            {"source": "headwater", "object": "policy", "operation": 2, "payload": b""},
            "operation",
            "own_object",
        ),
        ({"external_id": ""}, "external_id", "required"),
        ({"external_id": "x" * 256}, "external_id", "chars_max"),
        ({"external_id": "a\tb"}, "external_id", "control_characters"),
        ({"external_id": "a\x85b"}, "external_id", "control_characters"),
        ({"source_version": "v" * 256}, "source_version", "chars_max"),
        ({"event_time_us": None}, "event_time", "required"),
        ({"event_time_us": -1}, "event_time", "not_before_1970"),
        ({"event_time_us": NOW_US + 300_000_001}, "event_time", "clock_skew"),
        ({"operation": 3}, "operation", "allowed"),
        ({"payload": b""}, "payload", "required"),
        ({"payload": b"[]"}, "payload", "json_object"),
        ({"payload": b"{"}, "payload", "json_object"),
        ({"payload": b'{"a":"\xff"}'}, "payload", "json_object"),
        ({"payload": b'{"a":' * 20_000}, "payload", "json_object"),
        ({"payload": {"a": [{"b\0": 1}]}}, "payload", "nul_character"),
        ({"payload": b"{" + b" " * (PAYLOAD_BYTES_MAX - 1) + b"}"}, "payload", "bytes_max"),
        ({"operation": 2}, "payload", "empty"),
        ({"actor": Actor(9, "x")}, "actor.type", "allowed"),
        ({"actor": Actor(1, "i" * 256)}, "actor.id", "chars_max"),
        ({"actor": Actor(1, "", "a\0")}, "actor.display_name", "control_characters"),
        ({"request_id": "r" * 129}, "request_id", "chars_max"),
        ({"request_id": "release:x"}, "request_id", "reserved"),
        ({"traceparent": "00-abc"}, "trace.traceparent", "format.traceparent"),
        ({"tracestate": "a=" + "b" * 512}, "trace.tracestate", "chars_max"),
    ],
)
def test_a_broken_rule_is_named(fields: dict[str, Any], field: str, rule: str) -> None:
    """One fault gives exactly its field and rule."""
    assert _rules(**fields) == {(f"event.{field}", rule)}


def test_every_fault_is_listed_at_once() -> None:
    """A caller mends everything in one go."""
    found = _rules(
        source="No",
        object="x",
        external_id="",
        event_time_us=None,
        operation=7,
        payload=b"x",
        request_id="r" * 200,
    )
    assert {field for field, _ in found} == {
        f"event.{name}"
        for name in ("source", "object", "external_id", "event_time", "operation", "payload", "request_id")
    }


def test_values_shown_are_short() -> None:
    """A violation quotes at most 128 characters."""
    read = _read(external_id="x" * 5000)
    assert isinstance(read, tuple)
    assert {len(item.value) for item in read} == {128}


@pytest.mark.parametrize("payload", [b'{"api_key": "planted', b'{"a": "planted\\u0000"}', b'["planted"]'])
def test_nothing_is_shown_of_a_payload_that_is_not_read(payload: bytes) -> None:
    """Which part of it is a secret, nobody can tell: the caller is told where and how long."""
    read = _read(payload=payload)
    assert isinstance(read, tuple)
    (found,) = read
    assert found.value == f"{len(payload)} bytes"
    assert "planted" not in found.description


@pytest.mark.parametrize("name", ["", "Acme", "a b", "-a", "a" * 64, "a\n"])
def test_a_tenants_name_has_a_form(name: str) -> None:
    """It begins with a letter or digit and is at most 63 characters long."""
    assert [item.rule for item in check_tenant(name)] == ["pattern"]
    assert check_tenant("a-1_b") == ()

"""The short way through the door and the long one give the same events."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.ingest.arrivals import NOW_US, TENANT, arrival

from headwater.ingest.domain.contract import UNREADABLE_KEY, dedup_window_of, judge, skew_of
from headwater.ingest.domain.envelope import WellFormed, read_envelope
from headwater.ingest.domain.event import NOBODY, Actor, Arrival, NewEvent
from headwater.ingest.domain.minting import mint
from headwater.ingest.domain.passage import Door
from headwater.kernel.telemetry import TraceContext
from headwater.policy.document import PolicyDocument

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
CALL = TraceContext.parse("00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
_SYSTEM = {"layer": "record", "owner": "o", "backup": "b", "runbook": "r"}
POLICY = PolicyDocument.model_validate(
    {
        "format": "headwater/v1",
        "version": "1",
        "systems": {
            "webshop": {
                **_SYSTEM, "clock_skew_s": 10, "dedup_window_s": 60,
                "inbound": {"contact": {"fields": {"email": "email", "name": "name"}}},
            },
            "till": {**_SYSTEM, "inbound": {}},
        },
        "objects": {"contact": {"require_any": [["email"]], "fields": {
            "email": {"type": "email", "owners": ["webshop"], "rule": "first"},
            "name": {"type": "text", "owners": ["webshop"], "rule": "first", "chars_max": 8},
        }}},
    }
)  # fmt: skip

MOSTLY_PLAIN = st.fixed_dictionaries(
    {},
    optional={
        "source": st.sampled_from(["webshop", "till", "other", "Bad Name"]),
        "object": st.sampled_from(["contact", "lead", "policy", "thing"]),
        "external_id": st.text(max_size=5) | st.just("x" * 300) | st.just("\udc80"),
        "source_version": st.sampled_from(["", "v1", "v\n", "v" * 300]),
        "event_time_us": st.none() | st.integers(-5, NOW_US + 20_000_000),
        "operation": st.integers(-1, 4),
        "actor": st.sampled_from(
            [NOBODY, Actor(), Actor(1, "u", "Ada"), Actor(9, "", ""), Actor(1, "\0", "")]
        ),
        "request_id": st.sampled_from(["", "r", "release:x"]),
        "traceparent": st.sampled_from(["", TRACE, "00-zz"]),
        "tracestate": st.sampled_from(["", "a=b"]),
    },
)
PAYLOADS = st.sampled_from(
    [
        {"email": "a@example.com"}, {"email": "a@example"}, {"name": "Ada", "email": "A@example.com"}, {},
        {"email": "a@example.com", "name": "much too long"}, {"email": "a@example.com", "x": "\0"},
        b"", b"[]", b"{", b'{"email": "a@example.com", "email": "b@example.com"}', b'{"x": 1e999}',
        b'{"email":"a@example.com","x":"\\ud800"}', b'{"email":"a@example.com","n":123456789012345678901234567890}',
    ]
)  # fmt: skip


def _long_way(sent: Arrival) -> NewEvent | None:
    read = read_envelope(sent, now_us=NOW_US, skew_s=skew_of(POLICY, sent.source))
    if not isinstance(read, WellFormed) or judge(POLICY, TENANT, read):
        return None
    return mint(TENANT, read, call=CALL, dedup_window_s=dedup_window_of(POLICY, sent.source))


@given(PAYLOADS, MOSTLY_PLAIN)
@example({"email": "a@example.com"}, {})
@example({"email": "a@example.com"}, {"source_version": "v1", "actor": Actor(1, "u", "Ada")})
@settings(max_examples=400)
def test_what_is_admitted_is_what_the_long_way_records(payload: Any, fields: dict[str, Any]) -> None:
    """The same event in every field; and nothing that is refused or quarantined."""
    sent = arrival(payload, **fields)
    admitted = Door(TENANT, POLICY).admit(sent, NOW_US, CALL)
    if admitted is not None:
        assert admitted == _long_way(sent)


def test_a_row_that_its_importer_could_not_read_goes_the_long_way() -> None:
    """Whatever else it holds: it is no record, and only the long way puts it aside."""
    plain = {"email": "a@example.com"}
    assert Door(TENANT, POLICY).admit(arrival(plain), NOW_US, CALL) is not None
    sent = arrival({**plain, UNREADABLE_KEY: {"row": 7}})
    assert Door(TENANT, POLICY).admit(sent, NOW_US, CALL) is None


def test_plain_events_go_the_short_way() -> None:
    """With or without version, actor and trace."""
    door = Door(TENANT, POLICY)
    for fields in (
        {},
        {"operation": 0},
        {"source_version": "v1"},
        {"actor": Actor(1, "u", "Ada")},
        {"traceparent": TRACE},
    ):
        sent = arrival(**fields)
        assert door.admit(sent, NOW_US, CALL) == _long_way(sent) is not None

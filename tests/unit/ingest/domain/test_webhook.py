"""From bodies to events by the policy's paths."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.base.webhooks import Notice
from headwater.ingest.domain.webhook import reach, read_message, read_notices
from headwater.kernel.errors import InvalidInput
from headwater.policy.pointing import is_pointer
from headwater.policy.systems import Webhook

NOW_US = 1_760_000_000_000_000


def _webhook(**given: Any) -> Webhook:
    return Webhook(**{"secrets": ("env:S",), "object": "contact", "external_id": "id", **given})


def _read(webhook: Webhook, body: Any, message_id: str = "m") -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_message(webhook, "shop", raw, message_id, NOW_US)


def test_a_whole_body_is_kept_as_sent() -> None:
    """Without a payload path the fields are the body's own bytes."""
    (read,) = _read(_webhook(), b'{ "id": 7 }').arrivals
    assert (read.payload, read.external_id, read.request_id) == (b'{ "id": 7 }', "7", "m")


def test_events_without_a_time_have_that_of_receipt_and_are_marked() -> None:
    """So that a later sending is not taken for another content."""
    read = _read(_webhook(), {"id": "a"})
    assert (read.arrivals[0].event_time_us, read.undated) == (NOW_US, {0})
    dated = _read(
        _webhook(event_time="at", event_time_format="epoch_ms"), {"id": "a", "at": 1_760_000_000_123}
    )
    assert (dated.arrivals[0].event_time_us, dated.undated) == (1_760_000_000_123_000, set())
    assert _read(_webhook(event_time="at"), {"id": "a", "at": "soon"}).arrivals[0].event_time_us is None


def test_a_lists_events_have_request_ids_of_their_own_that_filters_do_not_move() -> None:
    """The number is the place in the body, so that a retry under a changed policy keys alike."""
    items = [{"id": "a", "kind": "x"}, {"id": "b", "kind": "y"}, {"id": "c", "kind": "x"}]
    read = _read(_webhook(events="items", when={"kind": ("x",)}), {"items": items})
    assert [item.request_id for item in read.arrivals] == ["m:0", "m:2"]
    assert [item.request_id for item in _read(_webhook(), items).arrivals] == ["m:0", "m:1", "m:2"]


def test_a_long_message_id_is_digested() -> None:
    """It must fit a request id with a number behind it, and stay the same each time."""
    ids = {_read(_webhook(), {"id": 1}, "x" * 300).arrivals[0].request_id for _ in range(2)}
    (request_id,) = ids
    assert request_id.startswith("sha256:")
    assert len(request_id) < 128


@pytest.mark.parametrize(
    ("body", "rule"), [(b"", "json"), (b"{", "json"), ({"items": {}}, "list"), ({}, "list")]
)
def test_a_body_without_events_where_they_should_be_is_refused(body: Any, rule: str) -> None:
    """Named by rule, without the body's text."""
    with pytest.raises(InvalidInput) as caught:
        _read(_webhook(events="items"), body)
    assert caught.value.violations[0].rule == rule


def test_paths_reach_into_objects_and_keys_with_dots_come_first() -> None:
    """As inbound mappings read them."""
    assert reach({"a": {"b": 1}}, "a.b") == 1
    assert reach({"a.b": 2, "a": {"b": 1}}, "a.b") == 2
    assert reach({"a": [1]}, "a.b") is None
    assert reach(5, "a") is None


JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "items", "at", "kind", "op"]), inner, max_size=4)
    ),
)


@given(JSON)
def test_any_verified_json_is_read_or_refused(body: Any) -> None:
    """Never another exception, and every event says its source and object."""
    webhook = _webhook(event_time="at", operation="op", payload="items", source_version="kind")
    try:
        read = _read(webhook, json.dumps(body).encode())
    except InvalidInput:
        return
    assert {(item.source, item.object) for item in read.arrivals} <= {("shop", "contact")}


def test_notices_become_pointers_that_are_the_same_each_time() -> None:
    """Only of objects that somebody reads; without a request id, so that their own time makes their key."""
    notices = [Notice("contacts", "7", NOW_US), Notice("tickets", "8", NOW_US)]
    (pointer,) = read_notices(notices, "hub", {"contacts": "contact"}).arrivals
    assert (pointer.source, pointer.object, pointer.external_id) == ("hub", "contact", "7")
    assert (pointer.event_time_us, pointer.request_id) == (NOW_US, "")
    assert is_pointer(json.loads(pointer.payload))

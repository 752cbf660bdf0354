"""Our own JSON, held to protobuf's: the same event whichever way it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from headwater.event.v1 import event_pb2
from headwater.ingest.http.json_events import read_events
from headwater.ingest.rpc.translate import read_arrival
from headwater.kernel.errors import InvalidInput

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def _messages(draw: st.DrawFn) -> event_pb2.Event:
    message = event_pb2.Event(
        source=draw(TEXT),
        object=draw(TEXT),
        external_id=draw(TEXT),
        source_version=draw(TEXT),
        operation=draw(st.sampled_from(event_pb2.Operation.values())),
        request_id=draw(TEXT),
        payload=json.dumps(draw(st.dictionaries(TEXT, TEXT | st.integers() | st.none()))).encode(),
    )
    if draw(st.booleans()):
        message.event_time.seconds = draw(st.integers(0, 4_000_000_000))
        message.event_time.nanos = draw(st.integers(0, 999_999_999))
    if draw(st.booleans()):
        message.actor.type = draw(st.sampled_from(event_pb2.ActorType.values()))
        message.actor.id = draw(TEXT)
        message.actor.display_name = draw(TEXT)
    if draw(st.booleans()):
        message.trace.traceparent = draw(TEXT)
    return message


@given(message=_messages(), snake=st.booleans())
def test_protobufs_json_is_read_as_protobuf_is(message: event_pb2.Event, *, snake: bool) -> None:
    """Both spellings; only the payload differs: an object where protobuf has base64."""
    written = json_format.MessageToDict(message, preserving_proto_field_name=snake)
    if message.payload:
        written["payload"] = json.loads(message.payload)
    (read,), many = read_events(json.dumps(written).encode())
    assert not many
    expected = read_arrival(message)
    assert json.loads(read.payload or b"null") == json.loads(expected.payload or b"null")
    same = {name: getattr(read, name) for name in read.__struct_fields__ if name != "payload"}
    assert same == {name: getattr(expected, name) for name in same}


def test_the_payload_is_kept_as_sent() -> None:
    """No number is rounded and no key is moved on the way."""
    sent = b'{"source":"shop","payload":{ "b":1.10,\t"a":12345678901234567890123 }}'
    (read,), _ = read_events(sent)
    assert read.payload == b'{ "b":1.10,\t"a":12345678901234567890123 }'


def test_a_list_is_told_from_one_event() -> None:
    """By its one member, white space or not."""
    arrivals, many = read_events(b' {\n "events" : [{"source":"a"},{"source":"b"}]}')
    assert ([item.source for item in arrivals], many) == (["a", "b"], True)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b'{"events":[{"external_id":5}]}', "$.events[0].external_id"),
        (b'{"colour":"red"}', "colour"),
        (b'{"external_id":"a","externalId":"a"}', "both spellings"),
        (b'{"event_time":"yesterday"}', "RFC 3339"),
        (b'{"operation":"MERGE"}', "OPERATION_UPSERT"),
        (b'{"events":[{}],"more":1}', "more"),
        (b'{"source":"\xff"}', "body"),
        (b"[" * 100_000, "body"),
    ],
)
def test_what_is_not_of_the_contract_is_refused_with_its_place(body: bytes, told: str) -> None:
    """One violation that names where."""
    with pytest.raises(InvalidInput) as caught:
        read_events(body)
    assert told in caught.value.message
    assert caught.value.violations


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["events", "payload", "event_time", "actor", "operation", "source"]), inner
            )
        ),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    """Never another exception."""
    body = json.dumps(value).encode("utf-8", "surrogatepass")
    try:
        arrivals, _ = read_events(body)
    except InvalidInput:
        return
    assert all(isinstance(item.payload, bytes) for item in arrivals)

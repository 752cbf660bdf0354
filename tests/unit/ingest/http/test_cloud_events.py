"""CloudEvents, held to the reference SDK as an independent producer."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent as SdkEvent
from hypothesis import given
from hypothesis import strategies as st

from headwater.ingest.domain.times import read_rfc3339_us
from headwater.ingest.http.cloud_events import is_binary, read_batched, read_binary, read_structured
from headwater.kernel.errors import InvalidInput

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
PLAIN = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "shop.contact.changed"}


@given(TEXT, TEXT, TEXT, st.datetimes(timezones=st.just(dt.UTC)), st.dictionaries(TEXT, TEXT, max_size=3))
def test_the_sdks_event_is_read_alike_in_every_mode(
    event_id: str, subject: str, extension: str, time: dt.datetime, data: dict[str, str]
) -> None:
    """Attributes in any script, percent-encoded in headers; data to the letter."""
    event = SdkEvent(
        attributes={
            "id": event_id,
            "source": "/shop/contacts",
            "type": "shop.contact.changed",
            "subject": subject,
            "time": time,
            "datacontenttype": "application/json",
            "headwaterobject": extension,
        },
        data=data,
    )
    structured, binary = to_structured_event(event), to_binary_event(event)
    first = read_structured(structured.body)
    (second,) = read_batched(b"[" + structured.body + b"]")
    headers = [(name.lower(), value) for name, value in binary.headers.items()]
    assert is_binary(headers)
    third = read_binary(headers, binary.body)
    for read in (first, second, third):
        named = {key: value for key, value in read.attributes.items() if key != "time"}
        assert named == {
            "specversion": "1.0",
            "id": event_id,
            "source": "/shop/contacts",
            "type": "shop.contact.changed",
            "subject": subject,
            "datacontenttype": "application/json",
            "headwaterobject": extension,
        }
        assert read_rfc3339_us(read.attributes["time"]) == (
            time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        ) // dt.timedelta(microseconds=1)
        assert json.loads(read.data) == data


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "id"),
        ({"source": None}, "source"),
        ({"type": None}, "type"),
        ({"specversion": "0.3"}, "specversion"),
        ({"Shop": "x"}, "Shop"),
        ({"time": "yesterday"}, "time"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"data": {}, "data_base64": "e30="}, "data"),
        ({"data_base64": "%"}, "data_base64"),
        ({"extension": {}}, "body"),
    ],
)
def test_what_is_no_cloud_event_is_refused_with_its_attribute(change: dict[str, object], field: str) -> None:
    """In every mode that can say it; a batch tells which."""
    body = json.dumps({**PLAIN, **change}).encode()
    with pytest.raises(InvalidInput) as caught:
        read_structured(body)
    assert caught.value.violations[0].field == field
    with pytest.raises(InvalidInput) as caught:
        read_batched(b"[" + json.dumps(PLAIN).encode() + b"," + body + b"]")
    assert caught.value.violations[0].field in {f"[1].{field}", "body"}


def test_data_in_base64_is_data() -> None:
    """JSON that a producer calls binary."""
    body = json.dumps({**PLAIN, "data_base64": "eyJhIjoxfQ=="}).encode()
    assert read_structured(body).data == b'{"a":1}'


def test_a_repeated_attribute_header_is_refused() -> None:
    """Two ids are none."""
    headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-id", "2"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
    ]
    with pytest.raises(InvalidInput):
        read_binary(headers, b"{}")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Never another exception."""
    for read in (read_structured, read_batched):
        try:
            read(body)
        except InvalidInput:
            continue

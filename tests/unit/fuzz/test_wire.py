"""Damage to wire forms."""

from __future__ import annotations

import random

from tests.fuzz.wire import BYTES, VARINT, damage, fields_of, framed, varint

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2

REQUEST = ingest_pb2.RecordEventRequest(
    tenant_id="t0", event=event_pb2.Event(source="shop", external_id="x", payload=b'{"a":1}')
).SerializeToString()


def test_fields_are_read_as_the_encoder_wrote_them() -> None:
    """Number, kind and value of every field are found, up to the first that cannot be read."""
    wire = varint(1 << 3 | VARINT) + varint(300) + framed(2, b"abc") + b"\xff"
    found = [(item.number, item.kind, wire[item.value : item.end]) for item in fields_of(wire)]
    assert found == [(1, VARINT, varint(300)), (2, BYTES, b"abc")]


def test_the_same_chance_does_the_same_damage() -> None:
    """A finding can be made again from its seed."""
    assert damage(random.Random(5), REQUEST) == damage(random.Random(5), REQUEST)


def test_damage_reaches_every_outcome() -> None:
    """Some damage makes bytes undecodable, some leaves them decodable and changed."""
    decoded = undecodable = 0
    for seed in range(400):
        wire = damage(random.Random(seed), REQUEST)
        try:
            decoded += ingest_pb2.RecordEventRequest.FromString(wire).SerializeToString() != REQUEST
        except Exception:  # noqa: BLE001 - protobuf's DecodeError, whichever implementation raises it
            undecodable += 1
    assert decoded > 100
    assert undecodable > 50


def test_damage_of_nothing_is_no_crash() -> None:
    """The empty message can be damaged by every means."""
    assert {damage(random.Random(seed), b"") for seed in range(200)} >= {b""}

"""The events that benches send: a contact of a CRM under a contract, about 350 bytes of payload. Pure.

Makes messages as bytes, by laying the varying fields behind the constant ones: a client that builds them must
cost next to nothing, it shares two cores with what is measured.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.policy.loading import policy_digest

TENANT: Final = "bench"
SOURCE: Final = "billing"
VARIANTS: Final = 64
"""Different payloads; a power of two."""
SAMPLED_SHARE: Final = 0.01
STREAM_FIELD: Final = b"\x1a"
"""Tag of `StreamEventsRequest.events`."""
BATCH_FIELD: Final = b"\x12"
"""Tag of `BatchRecordEventsRequest.events` and of `RecordEventRequest.event`."""
_EXTERNAL_ID: Final = b"\x1a"
_EVENT_TIME: Final = b"\x2a"
_STAGES: Final = ("subscriber", "lead", "opportunity", "customer")
_OWNED: Final[dict[str, dict[str, Any]]] = {
    "email": {"type": "email", "required": True},
    "first_name": {"type": "text", "chars_max": 80},
    "last_name": {"type": "text", "required": True, "chars_max": 80},
    "phone": {"type": "phone"},
    "title": {"type": "text", "chars_max": 120},
    "company": {"type": "text", "chars_max": 200},
    "website": {"type": "url"},
    "stage": {"type": "picklist", "allowed": list(_STAGES)},
    "score": {"type": "integer"},
    "signed_date": {"type": "date"},
}


def policy() -> event_pb2.Event:
    """Return the event that puts the tenant's contract in force: types, required fields, formats, a picklist."""
    people = {"owner": "Revenue operations", "backup": "Data platform", "runbook": "docs/runbook.md"}
    fields = {name: name for name in _OWNED}
    document = json.dumps(
        {
            "format": "headwater/v1",
            "version": "bench-1",
            "systems": {SOURCE: {**people, "layer": "record", "inbound": {"contact": {"fields": fields}}}},
            "objects": {
                "contact": {
                    "fields": {
                        name: {"owners": [SOURCE], "rule": "most_recent", **rules}
                        for name, rules in _OWNED.items()
                    },
                    "require_any": [["email", "phone"]],
                }
            },
            "connectors": {},
        }
    )
    digest = policy_digest(document)
    when = Timestamp()
    when.FromDatetime(dt.datetime(2026, 1, 5, tzinfo=dt.UTC))
    return event_pb2.Event(
        source="headwater",
        object="policy",
        external_id=TENANT,
        event_time=when,
        request_id=f"policy:{digest}",
        payload=json.dumps({"document": document, "digest": digest}).encode(),
    )


def payload(variant: int) -> bytes:
    """Return one of the payloads, about 350 bytes of JSON."""
    body = {
        "email": f"ana.lopez{variant:02}@northwind-{variant % 7}.example",
        "first_name": "Ana",
        "last_name": f"Lopez {variant:02}",
        "phone": f"+49 30 9018{variant:02} 20",
        "title": "Head of customer operations, northern region",
        "company": "Northwind Traders International",
        "website": "https://www.northwind.example/contact",
        "stage": _STAGES[variant % len(_STAGES)],
        "score": 100 + variant,
        "signed_date": f"2025-{variant % 12 + 1:02}-{variant % 28 + 1:02}",
    }
    return json.dumps(body).encode()


def traceparent(variant: int, *, sampled: bool) -> str:
    """Return a trace context; contexts of different variants differ."""
    return f"00-{0xA1B2C3D4 + variant:032x}-{0xE5F60718 + variant:016x}-{int(sampled):02}"


def event(external_id: str, variant: int, *, sampled: bool = False, version: str = "") -> event_pb2.Event:
    """Return an event without its time."""
    return event_pb2.Event(
        source=SOURCE,
        object="contact",
        external_id=external_id,
        source_version=version,
        operation=event_pb2.OPERATION_UPSERT,
        payload=payload(variant % VARIANTS),
        actor=event_pb2.Actor(type=event_pb2.ACTOR_TYPE_SERVICE, id="billing-sync"),
        trace=event_pb2.TraceContext(traceparent=traceparent(variant, sampled=sampled)),
    )


class Messages:
    """Makes requests whose events all differ.

    Args:
        run: distinguishes this run's events from every other's; up to 16 characters.
        versions: how many versions each record has, one event each; a divisor of `VARIANTS`. One: no version is said.
    """

    def __init__(self, run: str, versions: int = 1) -> None:
        self._run = run.encode("ascii")
        self._versions = versions
        self._constant = [
            [
                event("", variant, sampled=sampled, version=version_of(variant, versions)).SerializeToString()
                for variant in range(VARIANTS)
            ]
            for sampled in (False, True)
        ]
        self._made: dict[tuple[bool, bytes, int], list[bytes]] = {}
        self._tenant = b"%c%s" % (len(TENANT), TENANT.encode())

    def events(self, numbers: Sequence[int], now_ns: int, *, sampled: bool, field: bytes) -> bytes:
        """Return the events of *numbers* as repeated field of a request, all of one moment."""
        moment = Timestamp(seconds=now_ns // 1_000_000_000, nanos=now_ns // 1_000 % 1_000_000 * 1_000)
        packed = moment.SerializeToString()
        time_field = _EVENT_TIME + bytes([len(packed)]) + packed
        heads = self._heads(field, len(time_field), sampled=sampled)
        name, versions = self._run + b"-%010d", self._versions
        return b"".join(
            [heads[number % VARIANTS] + name % (number // versions) + time_field for number in numbers]
        )

    def _heads(self, field: bytes, time_bytes: int, *, sampled: bool) -> list[bytes]:
        """Return what stands before the external id of each variant's event."""
        key = (sampled, field, time_bytes)
        if key not in self._made:
            name_bytes = len(self._run) + 11
            named = _EXTERNAL_ID + bytes([name_bytes])
            more = len(named) + name_bytes + time_bytes
            self._made[key] = [
                field + _varint(len(body) + more) + body + named for body in self._constant[sampled]
            ]
        return self._made[key]

    def request(self, numbers: Sequence[int], now_ns: int, *, sampled: bool) -> bytes:
        """Return a `BatchRecordEventsRequest`, which of one event is a `RecordEventRequest` too."""
        return b"\x0a" + self._tenant + self.events(numbers, now_ns, sampled=sampled, field=BATCH_FIELD)

    def message(self, batch_number: int, numbers: Sequence[int], now_ns: int, *, sampled: bool) -> bytes:
        """Return a `StreamEventsRequest`."""
        head = b"\x08" + _varint(batch_number) + b"\x12" + self._tenant
        return head + self.events(numbers, now_ns, sampled=sampled, field=STREAM_FIELD)


def version_of(number: int, versions: int) -> str:
    """Return the version that an event of a record with several versions states."""
    return f"v{number % versions}" if versions > 1 else ""


def rows(run: str, count: int, now: dt.datetime) -> Sequence[tuple[Any, ...]]:
    """Return the producer-given facts of *count* events as rows, without their key."""
    variants = [event("", variant) for variant in range(VARIANTS)]
    constant = [
        (one.source_version, now, one.operation, one.payload, one.actor.type, one.actor.id, "", "",
         one.trace.traceparent, "")
        for one in variants
    ]  # fmt: skip
    return [
        (TENANT, SOURCE, "contact", f"{run}-{number:010d}", *constant[number % VARIANTS])
        for number in range(count)
    ]


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)

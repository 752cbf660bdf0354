"""From a CloudEvent 1.0 to an event. Pure; judges nothing.

The attributes say what an event of ours says in other words: `subject` is the external id, `id` the request id,
`time` the event time, `data` the payload. Where they do not, extension attributes do (`headwatersource`,
`headwaterobject`, `headwateroperation`, `headwaterexternalid`, `headwatersourceversion`), and before the
defaults the tenant's policy (`systems.<name>.cloud_events`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from headwater.ingest.domain.event import EVENT_OBJECTS, NOBODY, Arrival, Operation
from headwater.ingest.domain.times import read_rfc3339_us
from headwater.ingest.domain.webhook import Read
from headwater.policy.document import PolicyDocument
from headwater.policy.systems import CloudEventMeaning

_DELETED: Final = frozenset({"delete", "deleted", "removed"})
_UNKNOWN: Final = -1
"""No number of the wire contract: refused where every event's operation is judged."""
_NUMBERS: Final = {"upsert": Operation.UPSERT, "delete": Operation.DELETE}


class CloudEvent(msgspec.Struct, frozen=True):
    """A CloudEvent, well-formed by the specification.

    Args:
        attributes: context attributes and extensions as texts, by name.
        data: the event's data as JSON text; empty when there is none.
    """

    attributes: Mapping[str, str]
    data: bytes


def read_cloud_events(policy: PolicyDocument | None, events: Sequence[CloudEvent], received_us: int) -> Read:
    """Return the events that *events* say.

    Args:
        received_us: microseconds since 1970; the event time of those without `time`.
    """
    arrivals = tuple(_arrival(policy, event, received_us) for event in events)
    undated = frozenset(number for number, event in enumerate(events) if not event.attributes.get("time"))
    return Read(arrivals, undated)


def _arrival(policy: PolicyDocument | None, event: CloudEvent, received_us: int) -> Arrival:
    attributes = event.attributes
    source, meaning = _meaning(policy, attributes)
    time = attributes.get("time", "")
    operation = _operation(attributes, meaning)
    return Arrival(
        source=source,
        object=_object(attributes, meaning),
        external_id=attributes.get("headwaterexternalid") or attributes.get("subject", ""),
        source_version=attributes.get("headwatersourceversion", ""),
        event_time_us=read_rfc3339_us(time) if time else received_us,
        operation=operation,
        payload=b"" if operation == Operation.DELETE else event.data,
        actor=NOBODY,
        request_id=attributes["id"],
        traceparent=attributes.get("traceparent", ""),
        tracestate=attributes.get("tracestate", ""),
    )


def _meaning(
    policy: PolicyDocument | None, attributes: Mapping[str, str]
) -> tuple[str, CloudEventMeaning | None]:
    """Return our source, and what the policy says of the type."""
    named, source = attributes.get("headwatersource", ""), attributes["source"]
    for name, system in (policy.systems if policy else {}).items():
        described = system.cloud_events
        if described and (name == named or (not named and source in described.sources)):
            return name, described.types.get(attributes["type"])
    return named or source, None


def _object(attributes: Mapping[str, str], meaning: CloudEventMeaning | None) -> str:
    """Return the object: as said, as the policy says, or the last of ours among the parts of the type."""
    if said := attributes.get("headwaterobject"):
        return said
    if meaning is not None:
        return meaning.object
    parts = attributes["type"].split(".")
    return next((part for part in reversed(parts) if part in EVENT_OBJECTS), attributes["type"])


def _operation(attributes: Mapping[str, str], meaning: CloudEventMeaning | None) -> int:
    if said := attributes.get("headwateroperation"):
        return _NUMBERS.get(said.lower(), _UNKNOWN)
    if meaning is not None:
        return _NUMBERS[meaning.operation]
    return Operation.DELETE if attributes["type"].rpartition(".")[2] in _DELETED else Operation.UPSERT

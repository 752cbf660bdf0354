"""The messages of one sender, read back as the service reads them."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.load.payloads import Sizes
from headwater.load.supply import DUPLICATE, QUARANTINED, Message, Mixture, Supply
from headwater.load.wire import batch_number, count_outcomes, stream_head

_NOW_US = 1_795_271_939_412_817


def _supply(sender: int = 0, **mixture: Any) -> Supply:
    return Supply(Mixture(**mixture), random.Random(5), "run00001", sender)


def _read(message: Message) -> list[event_pb2.Event]:
    raw = stream_head(300, message.tenant_id) + message.body
    request = ingest_pb2.StreamEventsRequest.FromString(raw)
    assert (request.batch_number, request.tenant_id) == (300, message.tenant_id)
    return list(request.events)


def _name(event: event_pb2.Event) -> tuple[Any, ...]:
    moment = event.event_time.ToMicroseconds()
    return event.source, event.object, event.external_id, moment, event.payload


def test_every_event_is_another_one() -> None:
    """Nothing is a duplicate unless asked for: not in a message, not in a sender, not across senders."""
    supplies = [_supply(sender, batch=50) for sender in (0, 1)]
    names = [
        _name(event) for supply in supplies for _ in range(60) for event in _read(supply.message(_NOW_US))
    ]
    assert len({name[2] for name in names}) == len(names) == 6_000


@pytest.mark.parametrize("shape", ["unary", "batch", "stream"])
def test_a_message_is_what_protobuf_reads(shape: str) -> None:
    """Each shape's bytes are its request; the events carry the time given, to the microsecond."""
    message = _supply(shape=shape, batch=1 if shape == "unary" else 3).message(_NOW_US)
    if shape == "unary":
        request = ingest_pb2.RecordEventRequest.FromString(message.body)
        events, tenant_id = [request.event], request.tenant_id
    elif shape == "batch":
        several = ingest_pb2.BatchRecordEventsRequest.FromString(message.body)
        events, tenant_id = list(several.events), several.tenant_id
    else:
        events, tenant_id = _read(message), message.tenant_id
    assert tenant_id == "load-1"
    assert len(events) == message.events
    assert {event.event_time.ToMicroseconds() for event in events} == {_NOW_US}
    assert all(event.payload and event.source and event.object for event in events)


@pytest.mark.parametrize("level", ["event", "batch"])
def test_the_share_of_duplicates_is_what_was_asked(level: str) -> None:
    """What is marked a duplicate was sent before in the very same words; nothing else was."""
    supply = _supply(batch=20, duplicates=0.3, level=level, tenants=("a", "b"), sampled=0.2)
    seen: set[tuple[Any, ...]] = set()
    again = total = 0
    for _ in range(1_200):
        message = supply.message(_NOW_US)
        for event, due in zip(_read(message), message.expected, strict=True):
            name = (message.tenant_id, *_name(event))
            assert (name in seen) == (due == DUPLICATE)
            seen.add(name)
        assert message.expected.count(DUPLICATE) == message.duplicates
        again, total = again + message.duplicates, total + message.events
        supply.acknowledged(message)
    assert again / total == pytest.approx(0.3, abs=0.04)


def test_what_was_not_acknowledged_is_not_sent_again() -> None:
    """A duplicate is due as one only when the first was recorded for sure."""
    supply = _supply(batch=10, duplicates=0.9)
    assert sum(supply.message(_NOW_US).duplicates for _ in range(100)) == 0


def test_the_share_of_invalid_records_is_exact_over_the_pool() -> None:
    """A tenth of all records is due in quarantine, whatever the draw of templates is."""
    supply = _supply(batch=100, invalid=0.1)
    due = Counter(code for _ in range(400) for code in supply.message(_NOW_US).expected)
    assert due[QUARANTINED] / due.total() == pytest.approx(0.1, abs=0.01)


def test_sampled_messages_carry_one_context_in_every_event() -> None:
    """On a stream a message stands for a call: its events share a sampled trace, the others have none."""
    supply = _supply(batch=5, sampled=0.5)
    sampled = 0
    for _ in range(200):
        message = supply.message(_NOW_US)
        contexts = {event.trace.traceparent for event in _read(message)}
        assert contexts == {message.traceparent}
        sampled += message.traceparent.endswith("-01")
    assert 60 < sampled < 140


def test_busier_tenants_follow_the_skew() -> None:
    """With exponent 1 the first of four tenants gets 48 % of the messages, and without skew a quarter."""
    tenants = ("a", "b", "c", "d")
    skewed, even = (
        Counter(supply.message(_NOW_US).tenant_id for _ in range(4_000))
        for supply in (_supply(batch=1, tenants=tenants, skew=skew) for skew in (1.0, 0.0))
    )
    assert skewed["a"] / 4_000 == pytest.approx(0.48, abs=0.04)
    assert even["a"] / 4_000 == pytest.approx(0.25, abs=0.04)


def test_payloads_have_the_sizes_asked_for() -> None:
    """Every payload lies in the range, and both ends are used."""
    supply = _supply(batch=100, sizes=Sizes(1_000, 2_000))
    sizes = [len(event.payload) for _ in range(20) for event in _read(supply.message(_NOW_US))]
    assert 1_000 <= min(sizes) < 1_100
    assert 1_900 < max(sizes) <= 2_000


def test_acknowledgements_are_counted_without_parsing() -> None:
    """The search for byte patterns sees what protobuf sees, keys and violations of any kind between."""
    key = "08011224-0801-0802-0803-081224081224"
    kinds = [1, 2, 3, 4, 1, 1, 3]
    outcomes = [
        ingest_pb2.EventOutcome(
            disposition=kind,  # type: ignore[arg-type]
            event_key=key if kind != 4 else "",
            violations=[event_pb2.Violation(field="a", value="\x08\x01", rule="r")] if kind == 3 else [],
        )
        for kind in kinds
    ]
    answer = ingest_pb2.StreamEventsResponse(batch_number=70_000, outcomes=outcomes).SerializeToString()
    found = count_outcomes(answer)
    assert (found.accepted, found.duplicate, found.quarantined, found.recorded) == (3, 1, 2, 6)
    assert batch_number(answer) == 70_000
